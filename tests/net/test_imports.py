"""A network pays for the layers it has: what is imported to follow one, held as a list."""

from __future__ import annotations

import subprocess
import sys

UNNEEDED = {
    "numpy",
    "json",
    "random",
    "importlib.resources",
    "convcli.net.solving",
    "convcli.net.modelheader",
}


def test_following_a_residual_network_loads_its_own_layers_alone() -> None:
    script = (
        "import sys\n"
        "from convcli.net import network\n"
        "assert network('resnet152').trace().totals.params == 60_192_808\n"
        f"print(sorted({UNNEEDED!r} & set(sys.modules)))\n"
    )
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert got.stdout == "[]\n"
