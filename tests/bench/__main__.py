"""`python -m tests.bench NAME...` runs the named benches; no name lists them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
)


def main(names: list[str]) -> int:
    """Run the benches `names`, each a module here with a `main(arguments)`."""
    if not names or names[0] not in NAMES:
        print("Benches:", ", ".join(NAMES))
        return 0 if not names else 2
    import_module(f"tests.bench.{names[0]}").main(names[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
