"""What counts as how many floating-point operations: the table behind `flops`, for printing."""

from __future__ import annotations

from typing import NamedTuple

from convcli.layers.activation import STEPS_PER_ELEMENT
from convcli.layers.norm import STATISTICS_OPS, SampleNorm
from convcli.layers.registry import WORDS


class FlopsRule(NamedTuple):
    """One row: the work, its operations, and for what."""

    work: str
    operations: str
    """A number, or a formula with `k` cells of a window."""
    per: str
    made_of: str


def flops_table() -> tuple[FlopsRule, ...]:
    """Return the rules in the order of the notation's words.

    >>> next(rule for rule in flops_table() if rule.work == "sigmoid")
    FlopsRule(work='sigmoid', operations='4', per='element', made_of='negate, exp, add, divide')
    """
    statistics = "mean, center, square, sum, divide, scale, shift"
    activations = [
        FlopsRule(kind, str(steps.count(",") + 1), "element", steps)
        for kind, steps in STEPS_PER_ELEMENT.items()
    ]
    sample_norms = [word.text for word in WORDS.values() if issubclass(word.layer, SampleNorm)]
    return (
        FlopsRule("conv, dense, lstm", "2", "multiply-accumulate", "multiply, add"),
        FlopsRule("bias", "1", "output element", "add"),
        FlopsRule("maxpool", "k - 1", "output element", "comparisons"),
        FlopsRule("avgpool", "k", "output element", "k - 1 additions, divide"),
        FlopsRule("gap", "1", "input element", "additions, one division for each channel"),
        FlopsRule("gmp", "1", "input element", "comparisons, one less for each channel"),
        FlopsRule("adaptavg", "k", "output element", "k - 1 additions, divide"),
        FlopsRule("bn", "2", "element", "scale, shift (statistics are ready at inference)"),
        FlopsRule(", ".join(sample_norms), str(STATISTICS_OPS), "element", statistics),
        FlopsRule("lrn N", "N + 4", "element", "square, sum of N, scale, add, power, divide"),
        *activations,
        FlopsRule("upsample bilinear", "3, 7, 15", "output element",
                  "weights and sums over 2 neighbors on each of 1, 2, 3 axes"),
        FlopsRule("lstm", "18", "unit and step",
                  "3 sigmoids, 2 tanh, 3 products, 1 addition, beside the gates"),
        FlopsRule("add", "1", "element", "add"),
        FlopsRule("scale", "1", "element", "multiply"),
        FlopsRule("concat, flatten, reshape, pad, crop, shuffle, dropout, upsample", "0", "element",
                  "numbers move; dropout is off at inference"),
    )  # fmt: skip
