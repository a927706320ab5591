"""Compiled numbers: arrays, strides and threads; no layer, no image, no file is known here."""

from pathlib import Path

from convcli.engine.cache_place import ensure_cache_place
from convcli.engine.stale import remove_stale_code

remove_stale_code(Path(__file__).parent)
ensure_cache_place(Path(__file__).parent)
