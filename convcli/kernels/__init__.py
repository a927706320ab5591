"""Named image kernels as data, families with parameters, and rows that a user writes."""

from convcli.kernels.families import FAMILIES, Family, Parameter
from convcli.kernels.lookup import AnyKernel, all_kernels, choose, find, names
from convcli.kernels.parse import parse_numbers, parse_rows
from convcli.kernels.value import Kernel, Magnitude

__all__ = [
    "FAMILIES",
    "AnyKernel",
    "Family",
    "Kernel",
    "Magnitude",
    "Parameter",
    "all_kernels",
    "choose",
    "find",
    "names",
    "parse_numbers",
    "parse_rows",
]
