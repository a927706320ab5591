"""The array type of this room."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""float32 in training, float64 in gradient checks; samples first, channels last."""

Integers = NDArray[np.int64]
"""Labels, places and indices."""
