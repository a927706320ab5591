"""A number and the terms that it is the sum of: what every explanation spells out."""

from __future__ import annotations

import math
from dataclasses import dataclass

Place = tuple[int, ...]

ROUNDING = 1e-15
"""A total below this share of its products' sizes is what their own rounding leaves."""


@dataclass(frozen=True, slots=True)
class Term:
    """One product of a sum.

    Attributes:
        value: that was read.
        weight: that it is multiplied by.
        place: where the value was read; None in padding or a constant border.
        is_beyond: the place asked for lies outside, so that a border's rule chose `place`.
    """

    value: float
    weight: float
    place: Place | None
    is_beyond: bool = False

    @property
    def product(self) -> float:
        """Value times weight."""
        return self.value * self.weight


@dataclass(frozen=True, slots=True)
class Sum:
    """A number and its terms; `bias` is added once."""

    name: str
    terms: tuple[Term, ...]
    bias: float = 0.0

    @property
    def total(self) -> float:
        """The number explained; what rounding alone leaves of products that cancel is 0.

        >>> Sum("unit", (Term(2, 3, (0,)), Term(1, -1, (1,))), bias=0.5).total
        5.5
        >>> Sum("unit", (Term(0.1, 3, (0,)), Term(0.3, -1, (1,)))).total
        0.0
        """
        products = [term.product for term in self.terms]
        total = math.fsum([*products, self.bias])
        size = math.fsum(map(abs, (*products, self.bias)))
        return 0.0 if abs(total) <= ROUNDING * size else total
