"""Who may import whom: the table of the house, held against every import statement."""

from __future__ import annotations

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import convcli

PACKAGE = Path(__file__).parent.parent / "convcli"

# room: (rooms it may import besides errors, third-party packages)
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "files": (set(), set()),
    "arrayfiles": (set(), {"numpy"}),  # one reader of .npy and .npz for four rooms
    "environment": (set(), set()),
    "option": (set(), set()),  # fields that are options; anyone may have them
    "records": (set(), set()),
    "sums": (set(), set()),
    "values": (set(), set()),  # bases of values; the renderer is named as text
    "geometry": ({"values"}, set()),
    "layers": ({"geometry", "values"}, set()),
    "net": ({"layers", "geometry", "values"}, set()),
    "kernels": ({"values"}, set()),
    "engine": ({"environment"}, {"numpy", "numba", "llvmlite", "platformdirs"}),
    "imaging": (
        {"kernels", "engine", "files", "arrayfiles", "sums", "environment"},
        {"numpy", "PIL", "isal", "tifffile", "imagecodecs"},
    ),
    # isal unpacks a gzipped idx file in a third of zlib's time
    "data": (
        {"imaging", "engine", "files", "arrayfiles", "environment", "option", "records", "values"},
        {"numpy", "platformdirs", "isal"},
    ),
    "ops": ({"net", "layers", "geometry", "engine", "environment"}, {"numpy", "numba"}),
    "learn": (
        {
            "ops",
            "net",
            "layers",
            "geometry",
            "engine",
            "data",
            "imaging",
            "files",
            "records",
            "arrayfiles",
            "values",
            "environment",
        },  # photos to predict
        {"numpy", "safetensors"},
    ),
    "inspect": (
        {"learn", "ops", "net", "layers", "geometry", "imaging", "engine", "sums"},
        {"numpy"},
    ),
    "exchange": (
        {"learn", "data", "net", "layers", "geometry", "files", "arrayfiles"},
        {"numpy", "onnx", "google", "h5py", "tensorboard"},
    ),
    "sweep": (
        {"learn", "data", "net", "files", "records", "values", "environment"},
        {"numpy", "joblib", "dask", "distributed", "optuna"},
    ),
    "report": ({"values"}, {"rich", "jinja2", "plotille"}),  # tables and curves of terminals; pages
    "present": (
        {
            "report",
            "engine",
            "environment",
            "inspect",
            "exchange",
            "learn",
            "data",
            "imaging",
            "kernels",
            "net",
            "layers",
            "files",
            "sums",
            "sweep",
        },
        {"numpy", "matplotlib", "IPython"},
    ),  # joins what is known with how it looks, so that neither side knows the other
    "__main__": ({"cli"}, set()),
}
ANYTHING = {"api", "cli", "__init__"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(module: Path, *, typing: bool = True) -> list[str]:
    names = []
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for block in [] if typing else [node for node in tree.body if isinstance(node, ast.If)]:
        tree.body.remove(block)  # `if TYPE_CHECKING`
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            if node.module == "convcli":
                names += [f"convcli.{alias.name}" for alias in node.names]
            else:
                names.append(node.module or "")
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_the_table_allows(module: Path) -> None:
    room = room_of(module)
    if room in ANYTHING:
        return
    assert room in MAY_IMPORT, f"{module}: the room {room} is not in the table"
    rooms, packages = MAY_IMPORT[room]
    for name in imported_names(module):
        top, _, rest = name.partition(".")
        if top == "convcli":
            assert rest.split(".")[0] in rooms | {room, "errors", "option", "__version__"}, (
                f"{room} -> {name}"
            )
        else:
            assert top in packages or top in sys.stdlib_module_names, f"{room} -> {name}"


def test_only_what_is_compiled_imports_numba_and_only_imaging_imports_pillow() -> None:
    for module in MODULES:
        tops = {name.partition(".")[0] for name in imported_names(module)}
        assert "numba" not in tops or room_of(module) in {"engine", "ops"}, module
        assert "PIL" not in tops or room_of(module) == "imaging", module


def test_type_checkers_see_what_the_public_names_are() -> None:
    """What is imported for checkers is what a name gives when it is first used."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.name: getattr(import_module(node.module or ""), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(convcli.__all__) == {*seen, "__version__"}, "add it to the block of imports too"
    for name, ref in seen.items():
        assert getattr(convcli, name) is ref


def test_no_public_name_is_also_a_room() -> None:
    """`convcli.network` is the function, whatever was imported before."""
    assert not {module.parts[0] for module in map(relative, MODULES)} & set(convcli.__all__)


def relative(module: Path) -> Path:
    return module.relative_to(PACKAGE).with_suffix("")


@pytest.mark.parametrize("room", sorted({*map(room_of, MODULES)}))
def test_no_files_import_each_other(room: str) -> None:
    """Imports inside functions count; those for type checkers do not."""
    reads = {
        ".".join(("convcli", *relative(module).parts)): imported_names(module, typing=False)
        for module in MODULES
        if room_of(module) == room and module.stem != "__init__"
    }
    while leaves := {name for name, found in reads.items() if not reads.keys() & {*found}}:
        for name in leaves:
            del reads[name]
    assert not reads, f"in a circle, or above one: {', '.join(sorted(reads))}"


def test_the_command_line_parses_calls_and_emits_but_makes_no_table() -> None:
    """Tables are made of values in `present`; a command is a function of its family's file."""
    for module in (PACKAGE / "cli").glob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        called = {ast.unparse(one.func) for one in ast.walk(tree) if isinstance(one, ast.Call)}
        assert not called & {"tabulate", "Report", "Column"}, module


def test_what_a_checker_is_told_to_overlook_has_a_reason() -> None:
    """Behind `type: ignore[...]` and `noqa: ...` stands why."""
    silent = re.compile(r"# (type: ignore(\[[^]]*\])?|noqa(: [A-Z0-9, ]+)?)\s*$", re.MULTILINE)
    found = {
        f"{module.relative_to(PACKAGE)}: {match[0]}"
        for module in MODULES
        for match in silent.finditer(module.read_text(encoding="utf-8"))
    }
    assert not found, "say why"


MOST_PARAMETERS = 12


def test_no_function_takes_more_than_a_dozen_parameters() -> None:
    """More of them are a value that has no name yet; compiled functions take a typed record."""
    longer = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                told = node.args
                names = [one.arg for one in (*told.posonlyargs, *told.args, *told.kwonlyargs)]
                if len(names) - (names[:1] in (["self"], ["cls"])) > MOST_PARAMETERS:
                    name = getattr(node, "name", "lambda")
                    longer.add(f"{module.relative_to(PACKAGE).as_posix()} {name}")
    assert not longer, "take parameters together"
