"""Options and arguments that mean the same on every command, and what they stand for."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from convcli.errors import UsageError
from convcli.option import option
from convcli.report import Report
from convcli.report.formats import STYLES
from convcli.report.numbers import as_bytes

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.data import Dataset, Source
    from convcli.learn.evaluation import Labeled
    from convcli.learn.modelfile import TrainedModel

STANDARD_STREAM = "-"
"""What stands for stdin where a file is expected."""

OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", help="Where the result goes.", show_default=False)
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, help="Processor threads; 0 means all there are.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Same seed, same bits, on any number of threads.")
]
ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="A run's directory, or a model: .safetensors .onnx .keras .h5."
    ),
]

ImageArgument = Annotated[
    str, typer.Argument(metavar="IMAGE", help="A picture, a matrix (.npy .csv .txt), or -.")
]


@dataclass(frozen=True)
class Output:
    """How a command tells its results."""

    PANEL = "Output"

    format: str | None = option(
        "How to print: table (on a terminal), plain (piped), csv (one table).",
        metavar="FORMAT",
        choices=STYLES,
    )
    table: str | None = option(
        "Print this table of the report alone; a wrong name lists them.", metavar="NAME"
    )
    quiet: bool = option(
        "No messages, no progress, no report on files written unless --format asks for it.",
        default=False,
    )

    @cached_property
    def messages(self) -> Messages:
        """Where sentences for the person at the terminal go."""
        from convcli.cli.console import Messages

        return Messages(quiet=self.quiet)

    @property
    def drawn(self) -> bool:
        """Whether people read, so that a drawing may stand above the report."""
        if self.table is not None:
            return False
        return self.format in {"table", "plain"} or (self.format is None and not self.quiet)

    def emit(self, report: Report) -> None:
        """Print a report as asked.

        Raises:
            UsageError: it has no table of the name that was asked for.
        """
        from convcli.cli.console import emit

        if self.table is not None:
            report = report.table(self.table)
        emit(report, self.format)

    def emit_summary(self, report: Report) -> None:
        """Print what is said of files that were written; when quiet only in a form asked for."""
        if not self.quiet or self.format is not None or self.table is not None:
            self.emit(report)


@dataclass(frozen=True)
class FileOutput(Output):
    """How a command tells its results, and whether its files may replace others."""

    force: bool = option("Replace an existing output file (never an input).", default=False)

    def place(
        self,
        output: Path | None,
        beside: Path | str,
        label: str,
        *,
        inputs: Sequence[Path | str] = (),
        suffixes: Sequence[str],
    ) -> Path:
        """Return where a file goes, refused before any work is done if it cannot go there.

        Args:
            output: what `-o` named.
            beside: the input that the default name is made from; `-` for stdin.
            label: end of the default name, such as `saliency`.
            inputs: files that are never replaced.
            suffixes: endings that can be written, the default first.

        Raises:
            UsageError: an ending that is none of `suffixes`.
            UsageError, InputError, OutputExistsError: as `convcli.files.check_target`.
        """
        from convcli.files import check_target

        beside = Path("stdin") if str(beside) == STANDARD_STREAM else Path(beside)
        path = output or beside.with_name(f"{beside.stem}_{label}{suffixes[0]}")
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{path}: this is written as {' or '.join(suffixes)}.")
        check_target(path, force=self.force, inputs=files_of(inputs))
        return path

    def tell_page(self, path: Path, advice: str = "open it in a browser") -> None:
        """Say that a page was written, and as a report where a format asks for one."""
        from convcli.present.exchange import page_report

        self.messages.say(f"{path}: {as_bytes(path.stat().st_size)}; {advice}.")
        if self.format is not None or self.table is not None:
            self.emit(page_report(path))


def files_of(inputs: Sequence[Path | str]) -> list[Path]:
    """Return the inputs that are files."""
    return [Path(one) for one in inputs if str(one) != STANDARD_STREAM]


def refuse_beside_resume(context: typer.Context, allowed: Collection[str], what: str) -> None:
    """Refuse what was given beside `--resume` and would not hold, since the place decides it.

    Args:
        context: of the command.
        allowed: names of the fields that mean something all the same.
        what: that is resumed.

    Raises:
        UsageError: something else was given, even with its default value.
    """
    given = [
        max(parameter.opts, key=len) if parameter.param_type_name == "option" else "NETWORK"
        for parameter in context.command.params
        if str(parameter.name).rpartition("__")[2] not in {*allowed, "resume"}
        and (source := context.get_parameter_source(str(parameter.name))) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise UsageError(
            f"--resume takes everything from the {what}; leave out: {', '.join(given)}."
        )


def refuse_without_effect(given: Mapping[str, object], where: str) -> None:
    """Refuse options that would change nothing in this call.

    Args:
        given: option -> its value; None, False and empty lists were not given.
        where: what they need, as in `only means something {where}`.

    Raises:
        UsageError: one was given.
    """
    for name, value in given.items():
        if value is not None and value is not False and value != []:
            raise UsageError(f"{name} only means something {where}.")


CHOICES_WIDTH = 18
"""Words to choose from stand in the sentence where they are longer together."""


class Given:
    """Asks `takes` for a dictionary of the options that were given, instead of a value.

    The help shows no defaults: what holds then is decided elsewhere.
    """

    def __init__(self, group: type, without: Collection[str] = ()) -> None:
        """Leave the fields out that have no meaning in the command."""
        self.group = group
        self.without = without


def takes(**groups: type | Given) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of the dataclasses it names; it is called with their values.

    They stand in the help where the command has the parameter of their group. A parameter of the
    command whose default is an `option` is an option too.

    An option that was not given leaves its field's default, and `Given(cls)` hands on a dictionary
    of those that were. A field `tuple[T, ...]` may be given several times.
    """
    fields = [
        (group, field, get_type_hints(cls)[field.name], _panel_of(cls, field.name))
        for group, asked in groups.items()
        for cls, without in [_options_of(asked)]
        for field in dataclasses.fields(cls)
        if "option" in field.metadata and field.name not in without
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        own: dict[str, dataclasses.Field[Any]] = {}
        for name, parameter in inspect.signature(command).parameters.items():
            if isinstance(parameter.default, dataclasses.Field):
                own[name] = parameter.default
                parameters.append(_parameter(name, own[name], hints[name]))
            elif name not in groups:
                named = parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[name])
                parameters.append(named)
            parameters += [
                _parameter(f"{group}__{field.name}", field, hint, groups[group], panel)
                for group, field, hint, panel in fields
                if group == name
            ]

        @wraps(command)
        def called(**words: Any) -> Any:
            for name, field in own.items():
                words[name] = field.default if _is_left_out(words[name]) else _plain(words[name])
            given: dict[str, dict[str, Any]] = {group: {} for group in groups}
            for group, field, _, _ in fields:
                value = words.pop(f"{group}__{field.name}")
                if not _is_left_out(value):
                    given[group][field.name] = _plain(value)
            values = {
                group: given[group] if isinstance(asked, Given) else asked(**given[group])
                for group, asked in groups.items()
            }
            return command(**words, **values)

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # for typer
        called.__annotations__ = {p.name: p.annotation for p in parameters}
        return called

    return decorate


def _is_left_out(value: Any) -> bool:
    return value is None or value == []


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _options_of(asked: type | Given) -> tuple[type, Collection[str]]:
    """Return a group's class, and the fields of it that are no options here."""
    return (asked.group, asked.without) if isinstance(asked, Given) else (asked, ())


def _panel_of(group: type, name: str) -> str | None:
    """Return the panel of the help in which the class that has a field wants it."""
    owner = next(cls for cls in group.__mro__ if name in vars(cls).get("__annotations__", ()))
    return getattr(owner, "PANEL", None) or None


def _parameter(
    name: str,
    field: dataclasses.Field[Any],
    hint: Any,
    group: type | Given | None = None,
    panel: str | None = None,
) -> inspect.Parameter:
    """Return a field as the parameter that the command line's library reads."""
    flags, more = field.metadata["option"]
    flags = flags or (f"--{name.rpartition('__')[2].strip('_').replace('_', '-')}",)
    parts = get_args(hint)
    kind = next((one for one in parts if get_origin(one) is Literal), hint)
    if "choices" in more:  # of a table, that no annotation can name
        hint = kind = Literal[*more["choices"]]
    if get_origin(hint) is tuple:
        hint = list[get_args(hint)[0]]  # type: ignore[misc]  # an element's type, known at run time
    if "parser" in more:  # which gives what the field holds, whatever that is
        hint = str
    unsaid = isinstance(group, Given) or any(field.default is one for one in (None, False, ()))
    told = {"rich_help_panel": panel, **more, "show_default": False}
    told.pop("choices", None)
    choices = [str(one) for one in get_args(kind)] if get_origin(kind) is Literal else []
    if choices and len("|".join(choices)) > CHOICES_WIDTH:
        told.setdefault("metavar", "WORD")
        if not all(choice in more["help"] for choice in choices):
            told["help"] = f"{more['help']} One of {', '.join(choices)}."
    default = more.get("show_default") or ("" if unsaid else str(field.default))
    if default:  # the library would put it into brackets in brackets
        told["help"] = f"{told['help']} Default: {default}."
    annotation = Annotated[Union[hint, None], typer.Option(*flags, **told)]  # noqa: UP007  (a value)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def load_source(source: Source, messages: Messages, *, seed: int = 0) -> Dataset:
    """Return the data set of a source, with progress while that takes long; say its notes.

    Raises:
        UsageError: a malformed size, or a figure that the source has no use for.
        InputError: the data are not to be had, or cannot be used.
    """
    from convcli.data.sources import read_source

    with messages.counted() as progress:
        data = read_source(source, seed=seed, progress=progress)
    for note in data.notes:
        messages.say(note)
    return data


def load_labeled(
    model: TrainedModel, source: Source, split: str | None, messages: Messages
) -> Labeled:
    """Return the samples to judge a model by, with progress; say the data's notes.

    Raises:
        UsageError, InputError: as `labeled`.
    """
    from convcli.learn.evaluation import labeled

    with messages.counted() as progress:
        found = labeled(model, source, split, progress=progress)
    for note in found.data.notes:
        messages.say(note)
    if found.seen:
        messages.say("These samples are those the model was trained on; new ones tell more.")
    return found


def fetched_model(model: Path | str, messages: Messages) -> Path:
    """Return a model's file, fetched with progress where it is a published one's name."""
    from convcli.net.lookup import model_path, published_models

    name = str(model)
    published = {} if Path(name).exists() else published_models()
    if name not in published:
        return model_path(Path(name))
    from convcli.exchange.published import published_model

    with messages.counted() as progress:
        found = published_model(name, published[name], progress)
    messages.say("{about}; {license}, {source}".format(**published[name]))
    return found
