"""`python -m tests.bench NAME...` runs a bench; without a name all that compare with peers."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
)


def main(names: list[str]) -> int:
    """Run one of the benches, each a module here with a `main(arguments)`, or all but regress."""
    if names and names[0] not in NAMES:
        print("Benches:", ", ".join(NAMES))
        return 2
    for name in names[:1] or [each for each in NAMES if each != "regress"]:
        print(f"\n{name}")
        import_module(f"tests.bench.{name}").main(names[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
