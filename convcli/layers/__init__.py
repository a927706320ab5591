"""What a layer is, on paper: frozen values with exact integer rules, standard library only.

Each file names its layers in `__all__`; loading them all fills the registry of words.
"""

from __future__ import annotations

from convcli.layers.activation import *  # noqa: F403  (its `__all__`)
from convcli.layers.base import *  # noqa: F403  (its `__all__`)
from convcli.layers.conv import *  # noqa: F403  (its `__all__`)
from convcli.layers.dense import *  # noqa: F403  (its `__all__`)
from convcli.layers.join import *  # noqa: F403  (its `__all__`)
from convcli.layers.norm import *  # noqa: F403  (its `__all__`)
from convcli.layers.pool import *  # noqa: F403  (its `__all__`)
from convcli.layers.rearrange import *  # noqa: F403  (its `__all__`)
from convcli.layers.recurrent import *  # noqa: F403  (its `__all__`)
from convcli.layers.registry import WORDS as WORDS
