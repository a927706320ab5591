"""Networks on paper: `compare` and `list_presets`, beside `network` and `solve`."""

from __future__ import annotations

import os
from typing import Literal

from convcli.errors import UsageError
from convcli.net import Network, network as find_network, preset_names
from convcli.present.network_comparison import comparison
from convcli.report import Report


def compare(
    *networks: Network | str | os.PathLike[str],
    batch: int = 1,
    dtype: Literal["float64", "float32", "float16", "bfloat16", "int8"] = "float32",
    dialect: Literal["torch", "keras", "onnx"] | None = None,
) -> Report:
    """Compare networks: totals with their ratios to the first, and the layers side by side.

    Args:
        networks: two and more values, presets, files or words.
        batch: samples at a time; only memory grows with it.
        dtype: of weights and activations.
        dialect: shapes as this framework builds them.

    Returns:
        tables that show themselves; `document` is what `convcli compare --format json` prints.

    >>> compare("lenet5", "mnist").title
    'lenet5 and mnist'

    Raises:
        UsageError: fewer than two networks, or one that cannot be read.
        InputError: layers that do not fit.
    """
    if len(networks) < 2:
        raise UsageError("compare takes two networks or more.")
    found = [find_network(one).trace(batch=batch, dtype=dtype, dialect=dialect) for one in networks]
    return comparison(found, as_numbers=False)


def list_presets() -> list[str]:
    """Return the names of the networks that come with the package.

    >>> "resnet18" in list_presets()
    True
    """
    return preset_names()
