"""A listing of Keras or PyTorch read as data: followed on its syntax tree, and not run.

What is followed: literals and their arithmetic, names, loops over literals, functions, stacks,
Keras' functional calls and `add`. All else - data, training, printing - is passed over.
"""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convcli.errors import ConvcliError, InputError, cannot_read
from convcli.exchange.keras_files import snake_case
from convcli.exchange.keras_layers import RULES
from convcli.exchange.keras_read import JOINS, network_from_keras
from convcli.exchange.torch_read import MODULES, network_from_torch
from convcli.layers.base import Shape
from convcli.net.lookup import OpenedNetwork

MAX_BYTES, MAX_STEPS, MAX_DEPTH = 1_000_000, 100_000, 40
MAX_NUMBER = 2**40

ARITHMETIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Mod: operator.mod,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Pow: operator.pow,
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip

BUILTINS: dict[str, Callable[..., Any]] = {
    "range": lambda *ends: range(*ends)[:MAX_STEPS], "len": len, "int": int, "float": float,
    "list": list, "tuple": tuple, "reversed": lambda row: list(row)[::-1], "max": max, "min": min,
    "image_data_format": lambda: "channels_last",
    "enumerate": lambda row: list(enumerate(row)),
    "zip": lambda *rows: list(zip(*rows, strict=False)),
}  # fmt: skip

POSITIONAL = {
    "Conv": "filters kernel_size strides padding", "Dense": "units activation",
    "MaxPooling": "pool_size strides padding", "AveragePooling": "pool_size strides padding",
    "SeparableConv": "filters kernel_size strides padding", "Dropout": "rate", "LSTM": "units",
    "DepthwiseConv": "kernel_size strides padding", "UpSampling": "size", "GRU": "units",
    "SpatialDropout": "rate", "ZeroPadding": "padding", "Cropping": "cropping", "ELU": "alpha",
    "Activation": "activation", "Reshape": "target_shape", "Permute": "dims", "ReLU": "max_value",
    "LeakyReLU": "negative_slope", "Rescaling": "scale offset", "BatchNormalization": "axis",
    "GroupNormalization": "groups", "Concatenate": "axis", "Input": "shape", "InputLayer": "shape",
}  # fmt: skip
"""Keras class without its rank -> names of what it takes by place."""

PER_AXIS = ("kernel_size", "strides", "pool_size", "dilation_rate", "size", "padding", "cropping")
"""Settings that stand for every axis where they are one number."""

JOINING = {**dict.fromkeys(JOINS, ""), "add": "Add", "multiply": "Multiply"} | {
    "concatenate": "Concatenate"
}


@dataclass(frozen=True)
class Symbol:
    """A name that stands for something outside: its last part."""

    name: str


@dataclass(eq=False)
class Call:
    """A layer as it is written: class, settings by place and by name, the line."""

    kind: str
    args: list[Any]
    settings: dict[str, Any]
    line: int


@dataclass(eq=False)
class Tensor:
    """What a layer gives in a functional listing."""

    call: Call
    reads: tuple[Tensor, ...] = ()


@dataclass(eq=False)
class Made:
    """A model: layers one after the other, or the tensor that it ends with."""

    layers: list[Any] = field(default_factory=list)
    ends: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Function:
    """A function of the listing."""

    node: ast.FunctionDef


class _Returned(Exception):
    """What a function of the listing gives."""


def read_listing(path: Path, input_shape: Shape | None = None) -> OpenedNetwork:
    """Return the network that a file of Python lists; its code is not run.

    Raises:
        InputError: no such file, no listing of a network, or a layer that cannot be said here.
    """
    try:
        content = path.read_bytes()[: MAX_BYTES + 1]
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES:,} bytes, too many for a listing.")
    return network_from_listing(content.decode("utf-8", "replace"), input_shape, str(path))


def network_from_listing(
    text: str, input_shape: Shape | None = None, where: str = "the listing"
) -> OpenedNetwork:
    """Return the network that Python code lists; see `read_listing`.

    >>> code = "model = Sequential([Dense(3, activation='relu', input_shape=(4,)), Dense(2)])"
    >>> network_from_listing(code).network.trace().totals.params
    23
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        line = getattr(problem, "lineno", None)
        raise InputError(f"{where} is no Python: {problem} (line {line}).") from problem
    reader = _Reader(where)
    try:
        reader.body(tree.body)
        return reader.network(input_shape)
    except ConvcliError:  # has its own sentence
        raise
    except (ArithmeticError, ValueError, TypeError, LookupError, RecursionError) as problem:
        raise InputError(f"{where}, line {reader.line}: {problem}.") from problem


class _Reader:
    """Follows the statements of a listing with the values of its names."""

    def __init__(self, where: str) -> None:
        self.where, self.line, self.steps, self.depth = where, 0, 0, 0
        self.scopes: list[dict[str, Any]] = [{}]
        self.models: list[Made] = []
        self.functions: list[str] = []
        self.is_torch = False

    def problem(self, fact: str) -> InputError:
        return InputError(f"{self.where}, line {self.line}: {fact}")

    def body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.line, self.steps = statement.lineno, self.steps + 1
            if self.steps > MAX_STEPS:
                raise self.problem(f"more than {MAX_STEPS:,} statements. Repeat less.")
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                modules = [getattr(node, "module", None) or "", *(one.name for one in node.names)]
                self.is_torch |= any(name.split(".")[0] == "torch" for name in modules)
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self.assign(target, found)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.assign(target, self.value(value))
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.assign(node.target, self.joined(op, self.named(name), self.value(value)))
            case ast.Expr(value=value):
                self.value(value)
            case ast.FunctionDef(name=name):
                self.scopes[-1][name] = Function(node)
                self.functions.append(name)
            case _:
                self.flow(node)

    def flow(self, node: ast.stmt) -> None:
        match node:
            case ast.For(target=target, iter=rows, body=body):
                for one in self.literal(rows, "a loop"):
                    self.assign(target, one)
                    self.body(body)
            case ast.If(test=test, body=body, orelse=other):
                self.body(body if self.literal(test, "a condition") else other)
            case ast.With(body=body) | ast.Try(body=body):
                self.body(body)
            case ast.Return(value=value):
                raise _Returned(None if value is None else self.value(value))

    def assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.scopes[-1][target.id] = value
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, tuple | list):
            for part, one in zip(target.elts, value, strict=False):
                self.assign(part, one)

    def named(self, name: str) -> Any:
        return next((s[name] for s in reversed(self.scopes) if name in s), Symbol(name))

    def literal(self, node: ast.expr, what: str) -> Any:
        found = self.value(node)
        if isinstance(found, Symbol | Tensor | Call | Made):
            told = ast.unparse(node)[:60]
            raise self.problem(f"{what} needs {told}, which is no literal here. Write its value.")
        return found

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant() | ast.Name() | ast.Attribute():
                return self.atom(node)
            case ast.Call():
                return self.call(node)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                found = self.spread(parts)
                return found if isinstance(node, ast.List) else tuple(found)
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return {self.value(key): self.value(one) for key, one in pairs if key is not None}
            case ast.ListComp(elt=part, generators=[ast.comprehension(ifs=[]) as rows]):
                found = []
                for one in self.literal(rows.iter, "a list"):
                    self.assign(rows.target, one)
                    found.append(self.value(part))
                return found
        return self.calculated(node)

    def calculated(self, node: ast.expr) -> Any:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return self.joined(op, self.value(left), self.value(right))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in ARITHMETIC:
                return ARITHMETIC[type(op)](self.literal(operand, "a number"))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in ARITHMETIC:
                first, second = self.value(left), self.value(right)
                if first == Symbol("__name__"):
                    return second == "__main__"
                known = not isinstance(first, Symbol) and not isinstance(second, Symbol)
                return ARITHMETIC[type(op)](first, second) if known else Symbol("")
            case ast.Subscript(value=value, slice=place):
                found = self.value(value)
                return Symbol("") if isinstance(found, Symbol) else found[self.value(place)]
        return Symbol(ast.unparse(node)[:40])

    def atom(self, node: ast.Constant | ast.Name | ast.Attribute) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        return self.named(node.id) if isinstance(node, ast.Name) else Symbol(node.attr)

    def spread(self, parts: list[ast.expr]) -> list[Any]:
        """Return the parts of a list, those behind a star spread out."""
        found: list[Any] = []
        for part in parts:
            if isinstance(part, ast.Starred):
                found += self.literal(part.value, "a list")
            else:
                found.append(self.value(part))
        return found

    def joined(self, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            kind = {ast.Add: "Add", ast.Mult: "Multiply"}.get(type(op))
            if kind is None:
                raise self.problem("tensors are added or multiplied here, nothing else.")
            return Tensor(Call(kind, [], {}, self.line), (left, right))
        if isinstance(left, Symbol) or isinstance(right, Symbol) or type(op) not in ARITHMETIC:
            return Symbol("")
        both_long = isinstance(left, list | tuple | str) and isinstance(right, int)
        huge = isinstance(op, ast.Pow) and (abs(left) > 1000 or abs(right) > 20)
        if huge or (both_long and len(left) * right > MAX_STEPS):
            raise self.problem("this is more than a network needs.")
        found = ARITHMETIC[type(op)](left, right)
        if isinstance(found, int) and abs(found) > MAX_NUMBER:
            raise self.problem(f"{found:,} is more than a network needs.")
        return found

    def call(self, node: ast.Call) -> Any:
        """Return what a call gives: a layer, a model, a tensor, or nothing that counts."""
        line = self.line = node.lineno
        args = self.spread(node.args)
        settings = {word.arg: self.value(word.value) for word in node.keywords if word.arg}
        for word in node.keywords:
            if word.arg is None and isinstance(more := self.value(word.value), dict):
                settings |= more
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value)
            if isinstance(owner, Made | list) and node.func.attr in {"add", "append"}:
                (owner.layers if isinstance(owner, Made) else owner).append(args[0])
                return None
            called: Any = Symbol(node.func.attr)
        else:
            called = self.value(node.func)
        match called:
            case Function():
                return self.applied(called, args, settings)
            case Call():
                return self.tensor(called, args)
            case Made():
                return self.stacked(called, args)
            case Symbol(name=name):
                return self.made(name, args, settings, line)
        return Symbol("")

    def made(self, name: str, args: list[Any], settings: dict[str, Any], line: int) -> Any:
        """Return what the call of a name from outside gives."""
        if name == "Sequential":
            layers = args[0] if len(args) == 1 and isinstance(args[0], list) else args
            if len(args) == 1 and isinstance(args[0], dict):
                layers = list(args[0].values())
            return self.noted(Made([*(settings.get("layers") or layers or ())]))
        if name in {"Model", "Functional"}:
            ends = settings.get("outputs", args[1] if len(args) > 1 else ())
            ends = tuple(ends) if isinstance(ends, list | tuple) else (ends,)
            return self.noted(Made(ends=ends))
        if name == "OrderedDict":
            return dict(args[0]) if args else settings
        if name == "Input":
            return Tensor(Call("InputLayer", args, settings, line))
        if name in JOINING and args and isinstance(args[0], list | tuple):
            kind = JOINING[name] or name
            return Tensor(Call(kind, [], settings, line), tuple(args[0]))
        if name in RULES or name in JOINS or name in MODULES or name == "InputLayer":
            self.is_torch |= name in MODULES and name not in RULES
            return Call(name, args, settings, line)
        plain = not any(isinstance(one, Symbol | Tensor | Made | Call) for one in args)
        if name in BUILTINS and plain:
            return BUILTINS[name](*args)
        if any(isinstance(one, Tensor) for one in args):
            raise self.problem(f"{name}(...) is no layer that is known here.")
        unknown = name[:1].isupper() and name.endswith(("1D", "2D", "3D", "1d", "2d", "3d"))
        return Call(name, args, settings, line) if unknown else Symbol("")

    def noted(self, model: Made) -> Made:
        self.models.append(model)
        return model

    def applied(self, function: Function, args: list[Any], settings: dict[str, Any]) -> Any:
        """Return what a function of the listing gives for these arguments."""
        if self.depth > MAX_DEPTH:
            raise self.problem("functions call each other without end.")
        spec = function.node.args
        names = [one.arg for one in (*spec.posonlyargs, *spec.args)]
        first = len(names) - len(spec.defaults)
        values = {names[first + at]: self.value(one) for at, one in enumerate(spec.defaults)}
        values |= {
            one.arg: self.value(default)
            for one, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
            if default is not None
        }
        self.scopes.append(values | dict(zip(names, args, strict=False)) | settings)
        self.depth += 1
        try:
            self.body(function.node.body)
        except _Returned as found:
            return found.args[0]
        finally:
            self.depth -= 1
            self.scopes.pop()
        return None

    def tensor(self, call: Call, args: list[Any]) -> Tensor:
        """Return what a layer gives for tensors."""
        reads = args[0] if args and isinstance(args[0], list | tuple) else args[:1]
        if not reads or not all(isinstance(one, Tensor) for one in reads):
            raise self.problem(f"{call.kind} is called on something else than what layers give.")
        return Tensor(call, tuple(reads))

    def stacked(self, model: Made, args: list[Any]) -> Any:
        """Return what a Sequential within the listing gives for a tensor."""
        if not args or not isinstance(args[0], Tensor):
            return Symbol("")
        here = args[0]
        for layer in model.layers:
            here = (
                self.stacked(layer, [here]) if isinstance(layer, Made) else Tensor(layer, (here,))
            )
        return here

    def network(self, input_shape: Shape | None) -> OpenedNetwork:
        """Return the last model of the listing on paper."""
        if not self.models:
            calls = f" Call one: model = {self.functions[-1]}(...)" if self.functions else ""
            raise InputError(
                f"{self.where} makes no model: no Sequential(...) and no Model(...) is called."
                f"{calls}"
            )
        inner = {id(one) for model in self.models for one in model.layers}
        model = [one for one in self.models if id(one) not in inner][-1]
        if self.is_torch:
            return OpenedNetwork(
                network_from_torch(list(self.flat(model)), input_shape, self.where)
            )
        try:
            return network_from_keras(self.document(model), input_shape)
        except InputError as problem:
            raise InputError(f"{self.where}: {problem}") from problem

    def flat(self, model: Made) -> Iterator[Call]:
        """Yield the layers of a stack, stacks within it spread out."""
        for layer in model.layers:
            if isinstance(layer, Made):
                yield from self.flat(layer)
            elif isinstance(layer, Call):
                yield layer
            elif isinstance(layer, tuple) and len(layer) == 2 and isinstance(layer[1], Call):
                yield layer[1]  # a name and a layer
            elif isinstance(layer, Tensor):
                yield layer.call
            else:
                told = getattr(layer, "name", "") or type(layer).__name__
                raise InputError(f"{self.where}: {told or 'something'} in the stack is no layer.")

    def document(self, model: Made) -> dict[str, Any]:
        """Return a model as Keras would save it."""
        counts: Counter[str] = Counter()
        if not model.ends:
            layers = [_entry(call, counts) for call in self.flat(model)]
            return {"class_name": "Sequential", "config": {"layers": layers}}
        names: dict[int, str] = {}
        called: set[int] = set()
        entries: list[dict[str, Any]] = []

        def visit(tensor: Tensor, depth: int) -> str:
            if id(tensor) in names:
                return names[id(tensor)]
            if not isinstance(tensor, Tensor) or depth > 900:
                raise InputError(f"{self.where}: Model(...) ends with no tensor of a layer.")
            reads = [[visit(one, depth + 1), 0, 0, {}] for one in tensor.reads]
            if id(tensor.call) in called:
                raise InputError(
                    f"{self.where}, line {tensor.call.line}: {tensor.call.kind} is called twice "
                    "with the same weights. Shared weights cannot be said here."
                )
            called.add(id(tensor.call))
            entry = _entry(tensor.call, counts) | {"inbound_nodes": [reads] if reads else []}
            entries.append(entry)
            names[id(tensor)] = entry["name"]
            return names[id(tensor)]

        ends = [[visit(end, 0), 0, 0] for end in model.ends]
        return {"class_name": "Functional", "config": {"layers": entries, "output_layers": ends}}


def _entry(call: Call, counts: Counter[str]) -> dict[str, Any]:
    """Return a layer as a configuration of Keras has it, under the name that Keras gives it."""
    rank = next((int(digit) for digit in "123" if f"{digit}D" in call.kind), 0)
    bare = call.kind.replace(f"{rank}D", "").removesuffix("Transpose")
    taken = dict(zip(POSITIONAL.get(bare, "").split(), call.args, strict=False))
    config = {key: _plain(value) for key, value in (taken | call.settings).items()}
    for key in PER_AXIS:
        if rank and isinstance(config.get(key), int):
            config[key] = [config[key]] * rank
    if "Pooling" in bare and not bare.startswith("Global"):
        config.setdefault("pool_size", [2] * rank)
    plain = {"UpSampling": {"size": [2] * rank}, "ZeroPadding": {"padding": [1] * rank}}
    config = plain.get(bare, {}) | config
    if call.kind in JOINS and "axis" not in config:
        config["axis"] = -1
    shape = config.pop("input_shape", config.pop("shape", None))
    if "input_dim" in config:
        shape = [config.pop("input_dim")]
    if shape is not None:
        config["batch_input_shape"] = [None, *(shape if isinstance(shape, list) else [shape])]
    word = snake_case("Input" if call.kind == "InputLayer" else call.kind)
    counts[word] += 1
    automatic = word if counts[word] == 1 else f"{word}_{counts[word] - 1}"
    name = config["name"] = str(config.get("name") or automatic)
    return {"class_name": call.kind, "name": name, "config": config}


def _plain(value: Any) -> Any:
    """Return a setting as JSON has it; a function or an object is its name."""
    if isinstance(value, Symbol):
        return value.name or None
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Call):
        return {"class_name": value.kind, "config": {}}
    return value
