"""Small mistakes, made on purpose in a copy of the sources; every one must fail a test.

`python -m tests.mutants`, or with part of a name only those. Exit code 1 names the survivors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
WHOLE, USED = "program.tensor(step, {})", "program.tensor(step, {}, honors_extent=True)"


@dataclass(frozen=True)
class Mutant:
    """One mistake: what stands once in a file, what it becomes, and the tests that see it."""

    name: str
    file: str
    right: str
    wrong: str
    tests: str


def reads_less(layer: str, file: str, head: str, sources: str, case: str) -> Mutant:
    """A rule that claims to spare itself the cells that nobody reads, and does not."""
    return Mutant(
        f"used extent: {layer}", f"convcli/ops/{file}.py", f"{head}{WHOLE.format(sources)}",
        f"{head}{USED.format(sources)}", f"tests/learn/test_odd_pool.py -k {case}",
    )  # fmt: skip


ADD = (
    "def lower_add(program: ProgramBuilder, step: Step, *branches: Tensor) -> Iterator[Tensor]:\n"
    "    y = "
)
CONCAT = ADD.replace("add", "concat")
RULES = "tests/learn/test_rules.py -k lstm"
FIRST = "tests/learn/test_first_weights.py"
USUAL = "tests/learn/test_usual_figures.py"
LIMITS = "tests/net/test_limits.py"
PAPER = "tests/net/test_conventions.py"
INITIALIZE, RECURRENT = "convcli/learn/first_weights.py", "convcli/ops/recurrent.py"
CONVENTIONS, OPTIMIZERS = "convcli/net/conventions.py", "convcli/learn/optimizers.py"

MUTANTS = [
    reads_less("add", "join", ADD, "*branches", "residual"),
    reads_less("concat", "join", CONCAT, "*branches", "concat"),
    reads_less("multiply", "join", ") -> Iterator[Tensor]:\n    y = ", "x, gate", "scale"),
    reads_less("prelu", "activation", "y, channels = ", "x", "prelu"),
    reads_less("upsample", "rearrange", "cast(Upsample, step.layer), ", "x", "upsample"),
    Mutant("windows: padding behind", "convcli/ops/pool.py", "size + window.after)", "size)",
           "tests/ops/test_windows.py"),
    Mutant("first weights: He", INITIALIZE, "variance = 2 / inputs if rectified else 2 /",
           "variance = 2 /", FIRST),
    Mutant("first weights: Glorot", INITIALIZE, "else 2 / (inputs + outputs)", "else 1 / inputs",
           FIRST),
    Mutant("first weights: behind a norm", INITIALIZE, "return _is_rectified(trace, follower)",
           "return False", FIRST),
    Mutant("first weights: who rectifies", "convcli/layers/activation.py",
           'rectifies=True, positive=True),\n    "relu6"', 'positive=True),\n    "relu6"', FIRST),
    Mutant("first weights: PReLU", INITIALIZE, "FIRST_SLOPE = 0.25", "FIRST_SLOPE = 0.2", FIRST),
    Mutant("first weights: input gate open", INITIALIZE,
           "bias[step.layer.units : 2 * step.layer.units]", "bias[: step.layer.units]", FIRST),
    Mutant("first weights: no gate open", INITIALIZE, "2 * step.layer.units] = 1",
           "2 * step.layer.units] = 0", FIRST),
    Mutant("LSTM: gates of the oracle", RECURRENT, '"tanh" if gate == 2', '"tanh" if gate == 3',
           RULES),
    Mutant("LSTM: forget and input gate", RECURRENT, "state = f * cell.before[u] + i * g",
           "state = i * cell.before[u] + f * g", RULES),
    Mutant("LSTM: gradient of the forget gate", RECURRENT, "slope * cell.before[u] * f * (ONE - f)",
           "slope * cell.after[u] * f * (ONE - f)", RULES),
    Mutant("LSTM: cell handed back", RECURRENT, "cell.dcell[u] = slope * f",
           "cell.dcell[u] = slope * i",
           RULES),
    Mutant("convention: PyTorch's hook", CONVENTIONS, "_PTFLOPS_TWICE) * 2", "_PTFLOPS_TWICE) * 1",
           PAPER),
    Mutant("convention: two for each product", CONVENTIONS, "return 2 * step.macs + bias",
           "return step.macs + bias", PAPER),
    Mutant("recipe: batch", "convcli/learn/recipes.py", "step.\", default=128",
           "step.\", default=64", USUAL),
    Mutant("recipe: held out", "convcli/learn/recipes.py", "none.\", default=0.1",
           "none.\", default=0.2", USUAL),
    Mutant("optimizer: beta2", OPTIMIZERS, "beta2: float = 0.999", "beta2: float = 0.99", USUAL),
    Mutant("optimizer: Adam's rate", OPTIMIZERS, "default_lr: ClassVar[float] = 0.003",
           "default_lr: ClassVar[float] = 0.03", USUAL),
    Mutant("optimizer: decay of AdamW", OPTIMIZERS, "weight_decay: float = 0.01",
           "weight_decay: float = 0.1", USUAL),
    Mutant("limit: cells of an axis", "convcli/layers/base.py", "MAX_EXTENT = 10**9",
           "MAX_EXTENT = 10**10", LIMITS),
    Mutant("limit: the axis itself", "convcli/net/value.py", "max(shape) > MAX_EXTENT",
           "max(shape) >= MAX_EXTENT", LIMITS),
    Mutant("limit: layers", "convcli/net/trace.py", "index > MAX_STEPS", "index >= MAX_STEPS",
           LIMITS),
    Mutant("limit: text", "convcli/net/text.py", "len(text) > MAX_TEXT", "len(text) >= MAX_TEXT",
           LIMITS),
    Mutant("limit: bytes of a file", "convcli/net/lookup.py", "len(content) > MAX_FILE_BYTES",
           "len(content) >= MAX_FILE_BYTES", LIMITS),
]  # fmt: skip


def survives(mutant: Mutant, folder: Path) -> bool:
    """Tell whether the tests pass although the mistake is in the copy; mend it afterwards."""
    path = folder / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.right) != 1:
        sys.exit(f"{mutant.name}: {mutant.right!r} stands {text.count(mutant.right)} times in "
                 f"{mutant.file}; write down the mutant anew.")  # fmt: skip
    path.write_text(text.replace(mutant.right, mutant.wrong), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
         *mutant.tests.split()],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")
    if run.returncode not in {0, 1}:
        sys.exit(f"{mutant.name}: the tests did not run.\n{run.stdout}{run.stderr}")
    return run.returncode == 0


def main(wanted: str = "") -> int:
    """Run all mutants whose name holds `wanted`; return 1 if one survives."""
    chosen = [mutant for mutant in MUTANTS if wanted in mutant.name]
    alive = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for part in ("convcli", "tests", "pyproject.toml"):
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / part)
        for mutant in chosen:
            lives = survives(mutant, folder)
            print(f"{'SURVIVES' if lives else 'killed'}  {mutant.name}", flush=True)
            alive += [mutant.name] * lives
    print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants killed.")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
