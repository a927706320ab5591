"""A program of compiled operations: rows of integers, run over chunks of samples without Python.

Every operation has one signature, `(bases, row, first, count)`: `bases` holds the addresses of the
memories (see `Base`), `row` its integers, and it works on the samples first .. first + count - 1.
An operand takes three integers of a row: base, offset and numbers from one sample to the next; an
operation's operands and integers have names, see `Operands`.
An operation is compiled alone and called through its address, so that a network compiles what it
needs and nothing else.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import cached_property, partial
from types import FunctionType
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel.models import OpaqueModel
from numba.core.imputils import lower_constant, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, register_model, typeof_impl

from convcli.engine.compilation import OperationCompiler, cfunc, compile_together, njit
from convcli.engine.llvm import BYTES, FLOATS, WORD, advance
from convcli.engine.numba_cache import is_kept

WORDS = types.CPointer(types.int64)
OPERATION = types.void(WORDS, WORDS, types.int64, types.int64)
FAST = {"contract"}
"""Multiply and add may fuse; everything else is computed as written."""


class Operands:
    """Where each operand of an operation stands in its row, by name.

    Operands take three integers each, then come single ones; the last may be the first of many.
    Compiled code sees constants.

    >>> softmax = Operands("y x", "size width")
    >>> softmax.x, softmax.size, softmax.names
    (3, 6, ('y', 'x', 'size', 'width'))
    """

    def __init__(self, addresses: str, integers: str = "") -> None:
        first, then = addresses.split(), integers.split()
        self.names, self.addresses = (*first, *then), len(first)
        places = [*range(0, 3 * len(first), 3), *range(3 * len(first), 3 * len(first) + len(then))]
        self.places = dict(zip(self.names, places, strict=True))

    def __getattr__(self, name: str) -> int:
        try:
            return int(self.__dict__["places"][name])
        except KeyError:
            raise AttributeError(f"{name} is none of {', '.join(self.names)}") from None


class _OperandsType(types.Opaque):  # type: ignore[misc]  # numba carries no types
    def __init__(self, operands: Operands) -> None:
        super().__init__(f"Operands({', '.join(operands.names)} {operands.places})")
        self.places, self.addresses = operands.places, operands.addresses
        kinds = [FLOATS] * self.addresses + [types.int64] * (len(operands.names) - self.addresses)
        names = (*operands.names, "bases", "row", "sample")
        fields = namedtuple("Operands", names)  # type: ignore[misc]  # known only as it runs
        self.record = types.NamedTuple((*kinds, WORDS, WORDS, types.int64), fields)


register_model(_OperandsType)(OpaqueModel)


@typeof_impl.register(Operands)
def _type_of_operands(operands, context):
    return _OperandsType(operands)


@lower_constant(_OperandsType)
def _no_value(context, builder, kind, operands):
    return context.get_dummy_value()


@infer_getattr
class _PlacesAreIntegers(AttributeTemplate):  # type: ignore[misc]  # numba carries no types
    key = _OperandsType

    def generic_resolve(self, kind, name):
        return types.int64 if name in kind.places else None


@lower_getattr_generic(_OperandsType)
def _place(context, builder, kind, value, name):
    return context.get_constant(types.int64, kind.places[name])


@intrinsic
def read_operands(typingctx, operands, bases, row, sample):
    """Return what a row says about a sample: pointers, integers, and the three last arguments."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bases, row, sample = arguments[1:]

        def word(base: Any, at: Any) -> Any:
            return builder.load(builder.gep(base, [at]))

        def pointer(at: int) -> Any:
            base = word(bases, word(row, WORD(at)))
            stride = builder.mul(sample, word(row, WORD(at + 2)))
            offset = builder.add(word(row, WORD(at + 1)), stride)
            address = builder.add(base, builder.mul(offset, WORD(4)))
            return builder.inttoptr(address, context.get_value_type(FLOATS))

        places = list(operands.places.values())
        pointers = [pointer(at) for at in places[: operands.addresses]]
        integers = [word(row, WORD(at)) for at in places[operands.addresses :]]
        return context.make_tuple(
            builder, signature.return_type, (*pointers, *integers, bases, row, sample)
        )

    return operands.record(operands, WORDS, WORDS, types.int64), emit


@intrinsic
def as_bytes(typingctx, floats):
    """Return a pointer to float32 as one to bytes."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(BYTES))

    return BYTES(FLOATS), emit


class Base(IntEnum):
    """What each entry of `bases` is: an address, or from FIRST on a plain integer."""

    KEPT = 0  # values and gradients of the samples, per thread or for the whole batch
    SCRATCH = 1  # reused for every sample, per thread
    PARAMETERS = 2
    GRADIENT = 3  # of the shard
    SHARED = 4  # prepared once a batch: flipped kernels, statistics, constants
    SHARD = 5  # sums of the shard: loss, correct answers, statistics
    INPUT = 6
    INDEX = 7  # int64: which sample of INPUT stands at a place of the batch
    TARGET = 8
    SAMPLE_WEIGHT = 9
    OUTPUT = 10
    FIRST = 11  # place in the batch of the chunk's first sample, minus its place in KEPT
    SEED = 12
    STEP = 13
    SHARDS = 14  # how many shards the batch has
    SHARD_SUMS = 15  # numbers from one shard's sums to the next
    GRADIENT_SIZE = 16  # numbers from one shard's gradient to the next


BASES = len(Base)


def _address_intrinsic(pointer_type: Any) -> Any:
    @intrinsic
    def at_address(typingctx, address):
        signature = pointer_type(types.int64)

        def emit(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return signature, emit

    return at_address


floats_at = _address_intrinsic(FLOATS)
words_at = _address_intrinsic(WORDS)
bytes_at = _address_intrinsic(BYTES)


@intrinsic
def call(typingctx, address, bases, row, first, count):
    """Call the operation at an address."""
    signature = types.void(types.int64, WORDS, WORDS, types.int64, types.int64)

    def emit(context, builder, signature, arguments):
        kinds = [argument.type for argument in arguments[1:]]
        kind = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return signature, emit


AT = Operands("", " ".join(base.name.lower() for base in Base))
"""The entries of `bases` for compiled code, which knows no enumerations behind a pointer."""


class Operation:
    """An operation; reading its address compiles it, or loads it from the cache."""

    known: ClassVar[list[Operation]] = []

    def __init__(
        self, function: Callable[..., None], places: Operands, fastmath: set[str],
        signature: Any = OPERATION, work: Callable[..., None] | None = None,
    ) -> None:  # fmt: skip
        self.function, self.operands, self.fastmath = function, places, fastmath
        self.signature = signature
        self.length = len((work or function).__code__.co_code)
        self.known.append(self)

    @cached_property
    def compiled(self) -> Any:
        """The compiled operation."""
        options = {"fastmath": self.fastmath, "pipeline_class": OperationCompiler}
        return cfunc(self.signature, cache=True, error_model="numpy", **options)(self.function)

    @property
    def address(self) -> int:
        """Where a program calls it."""
        return int(self.compiled.address)


def compile_operations(operations: Iterable[Operation], processes: int) -> None:
    """Compile those of the operations that the cache lacks, the longest first."""
    missing = [
        each for each in {*operations}
        if "compiled" not in vars(each) and not is_kept(each.function)
    ]  # fmt: skip
    missing.sort(key=lambda each: (-each.length, each.function.__qualname__))
    if len(missing) > 1:
        compile_together([partial(getattr, each, "address") for each in missing], processes)


def operation(places: Operands) -> Callable[[Callable[..., None]], Operation]:
    """Mark an operation with these operands; it is compiled when a program first needs it."""
    return lambda function: Operation(function, places, FAST)


BODY: Any = None
PLACES: Any = None
"""What each copy of `_samples` runs, and on what."""


def _samples(bases, row, first, count):
    for sample in range(first, first + count):
        BODY(read_operands(PLACES, bases, row, sample))


def each_sample(
    places: Operands, *, sums: bool = False, name: str = ""
) -> Callable[[Callable[[Any], None]], Operation]:
    """Mark what an operation does with a sample; it gets a record of these operands.

    Pointers stand at the sample's numbers, or at those that all samples share. The record holds
    `bases`, `row` and `sample` too. Where `sums`, they may be split into lanes of a vector, the
    same way each time. One body in several operations has a `name` in each.
    """

    def mark(function: Callable[[Any], None]) -> Operation:
        place = function.__code__
        run = FunctionType(
            _samples.__code__.replace(
                co_filename=place.co_filename, co_firstlineno=place.co_firstlineno
            ),
            globals()
            | {
                "__name__": function.__module__,
                "BODY": njit(inline="always")(function),
                "PLACES": places,
            },
        )
        run.__module__, run.__qualname__ = function.__module__, name or function.__qualname__
        return Operation(run, places, FAST | ({"reassoc", "nsz"} if sums else set()), work=function)

    return mark


@njit(inline="always")
def operand(bases, row, at, sample):
    """Return the float32 operand described at `row[at]` for a sample."""
    return floats_at(bases[row[at]] + 4 * (row[at + 1] + sample * row[at + 2]))


def _called_from_python(function: Callable[..., None]) -> Operation:
    """Mark what Python calls with integers and addresses, without its lock: `compiled.ctypes`."""
    parameters = [types.int64] * function.__code__.co_argcount
    return Operation(function, Operands(""), FAST, types.void(*parameters))


@_called_from_python
def run(
    addresses, per_sample, row_starts, rows, bases, batch, shard, shard_step, shard_size, chunk,
    clear, whole_batch,
):  # fmt: skip
    """Run a program on shards `shard`, `shard + shard_step`, ... of a batch, chunk by chunk.

    A zero ends `addresses`. A shard is a fixed run of samples with its own gradient and sums, so
    that what is added does not depend on the number of threads. Neighboring operations marked
    `per_sample` run sample by sample, so that a sample's maps stay in the nearest cache. With
    `whole_batch` the memory KEPT holds every sample of the batch, else the samples of one chunk.
    """
    addresses, per_sample, bases = words_at(addresses), bytes_at(per_sample), words_at(bases)
    row_starts, rows = words_at(row_starts), words_at(rows)
    gradients, sums = bases[AT.gradient], bases[AT.shard]
    gradient_size, sums_size = bases[AT.gradient_size], bases[AT.shard_sums]
    while shard * shard_size < batch:
        bases[AT.gradient] = gradients + 4 * shard * gradient_size
        bases[AT.shard] = sums + 4 * shard * sums_size
        if clear:
            gradient = floats_at(bases[AT.gradient])
            for i in range(gradient_size):
                gradient[i] = 0.0
            shard_sum = floats_at(bases[AT.shard])
            for i in range(sums_size):
                shard_sum[i] = 0.0
        end = min(batch, (shard + 1) * shard_size)
        for begin in range(shard * shard_size, end, chunk):
            size = min(chunk, end - begin)
            local = begin if whole_batch else 0
            bases[AT.first] = begin - local
            at = 0
            while addresses[at] != 0:
                if not per_sample[at]:
                    call(addresses[at], bases, advance(rows, row_starts[at]), local, size)
                    at += 1
                    continue
                stop = at
                while per_sample[stop]:
                    stop += 1
                for sample in range(local, local + size):
                    for each in range(at, stop):
                        call(addresses[each], bases, advance(rows, row_starts[each]), sample, 1)
                at = stop
        shard += shard_step
    bases[AT.gradient], bases[AT.shard] = gradients, sums


@_called_from_python
def add_shards(shards, apart, count, size):
    """Add shards up to `count`, which lie `apart`, to the first one, in their order."""
    total = floats_at(shards)
    for shard in range(1, count):
        part = floats_at(shards + 4 * shard * apart)
        for i in range(size):
            total[i] += part[i]


KEYS = np.random.default_rng(0).integers(-(2**63), 2**63, 256)
LOW = 2**32 - 1


@_called_from_python
def digest(numbers, size, keys, to):
    """Write a hash of `size` pairs of float32: NH of UMAC (Black et al. 1999), block by block."""
    words, keys, total = words_at(numbers), words_at(keys), 1
    for begin in range(0, size, 256):
        part = 0
        for i in range(min(256, size - begin)):
            word, key = words[begin + i], keys[i]
            part += ((word + key) & LOW) * (((word >> 32) + (key >> 32)) & LOW)
        total = total * 6364136223846793005 + part
    words_at(to)[0] = total
