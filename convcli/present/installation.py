"""What this installation runs on, as `convcli doctor` shows it."""

from __future__ import annotations

from typing import Any

from convcli.data.picture_store import bytes_on_disk
from convcli.data.published import cache_folder
from convcli.engine.compilation import compiled_code
from convcli.engine.llvm import host
from convcli.engine.numba_cache import VARIABLES
from convcli.environment import OPTIONAL, environment, package_version
from convcli.report import Report, tabulate


def installation_report() -> Report:
    """Return versions, processor, engine and caches; what is missing, and how to get it."""
    registers, code = host(), compiled_code()
    facts: dict[str, Any] = {
        **environment(),
        "vector": f"{registers.lanes} floats",
        "tile": f"{registers.tile_rows} x {registers.tile_vectors * registers.lanes}",
        "fused multiply-add": registers.fused,
        "compiled code": code.folder,
        "compiled functions": code.files,
        "compiled bytes": code.size_bytes,
        "damaged and removed": code.mended,
        "data": str(cache_folder("mnist").parent),
        "decoded pictures": str(cache_folder("pictures")),
        "decoded bytes": bytes_on_disk(),
    }
    extras = {name: package_version(name) for name in OPTIONAL}
    notes = [f"{name} is not installed; {OPTIONAL[name]}" for name in extras if not extras[name]]
    if code.problem:
        notes.insert(0, f"{code.problem}. {VARIABLES[0]} names another folder.")
    rows = [{"fact": name, "value": value} for name, value in (facts | extras).items()]
    columns = {"fact": "Fact", "value": "Value"}
    return tabulate(rows, columns, notes=notes, document=facts | {"extras": extras})
