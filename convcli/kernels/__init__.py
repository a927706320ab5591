"""Named image kernels as data, families with parameters, and rows that a user writes."""

from convcli.kernels.families import FAMILIES, Family, Parameter
from convcli.kernels.lookup import AnyKernel, all_kernels, choose, combine, find, find_step, names
from convcli.kernels.operations import OPERATIONS, Operation
from convcli.kernels.parse import parse_numbers, parse_rows
from convcli.kernels.value import Kernel, Magnitude

__all__ = [
    "FAMILIES",
    "OPERATIONS",
    "AnyKernel",
    "Family",
    "Kernel",
    "Magnitude",
    "Operation",
    "Parameter",
    "all_kernels",
    "choose",
    "combine",
    "find",
    "find_step",
    "names",
    "parse_numbers",
    "parse_rows",
]
