"""The words of the notation as a table: all of them, or one with what stands behind it."""

from __future__ import annotations

import re
from dataclasses import fields

from convcli.errors import UsageError, did_you_mean
from convcli.layers import WORDS, Activation
from convcli.layers.base import padding_text, shape_text
from convcli.layers.elsewhere import Elsewhere
from convcli.layers.join import BLOCKS, OTHER_NAMES, From
from convcli.layers.registry import Word, word_for
from convcli.net.words import written
from convcli.report import Column, Report

FILES = ("conv", "pool", "dense", "norm", "activation", "rearrange", "recurrent", "join")
"""The files of layers, in the order of the list."""


def words_report(name: str | None = None) -> Report:
    """Return all words of the notation, or one with its fields and its names elsewhere.

    Args:
        name: a word, or what PyTorch, Keras or ONNX call it.

    Raises:
        UsageError: there is no such word; names the nearest.
    """
    if name is None:
        return _all_words()
    text = OTHER_NAMES.get(name.lower(), name.lower())
    if text in BLOCKS or text == From.op:
        columns = (Column("word", "Word"), Column("example", "Example"))
        return Report("", columns, ((text, BLOCKS.get(text, From).example),))
    word = word_for(name)
    if word is None:
        known = [*WORDS, *BLOCKS]
        hint = did_you_mean(name, known) or f" Known: {' '.join(known)}."
        raise UsageError(f"There is no layer {name!r}.{hint}")
    return _one_word(word)


def _all_words() -> Report:
    columns = (
        Column("word", "Word"),
        Column("takes", "Takes"),
        Column("example", "Example"),
        Column("about", "About"),
    )
    words = sorted(WORDS.values(), key=_place)
    rows = [(word.text, takes(word), word.example, word.about) for word in words]
    blocks = [(text, "(...)", block.example, "") for text, block in BLOCKS.items()]
    return Report(
        title="Words of the notation",
        columns=columns,
        rows=(*rows, *blocks),
        notes=(
            "In brackets what may be left out, with its default: [s1] is sN, 1 unless given.",
            "A network begins with its input: input HxWxC. ACTIVATION is one of the activations; "
            "every layer may end in name=NAME. One word in full: --layers WORD.",
            "a: conv 16 3 names a point, and from a goes on from it; let block(c, s) = (conv {c} 3 "
            "s{s}, bn) makes a word with arguments, numbers or words; {pick(n, 1, 64, 2, 96)} is "
            "the number behind n; repeat i=1..3 (conv {16*i} 3) counts.",
        ),
    )


def _place(word: Word) -> tuple[bool, int]:
    """Return where a word stands: what networks are made of first, bare activations last."""
    return word.layer is Activation, FILES.index(word.layer.__module__.rpartition(".")[2])


def takes(word: Word) -> str:
    """Return what stands behind a word; in brackets what may be left out, as it is then.

    >>> takes(WORDS["conv"])
    'FILTERS KERNEL [s1] [valid|same|causal|pN] [d1] [g1] [nobias] [ACTIVATION]'
    """
    defaults = {field.name: _default(field.default) for field in fields(word.layer)}
    told = [written(word, field) for field in word.positional]
    for name in word.options:
        text, default = written(word, name), defaults[name] or ""
        first, *others = text.split("|")
        if default in others:
            text = "|".join([*others, first])
        elif default:
            text = re.sub("(?:N|VALUE)$", default, text)
        told.append(f"[{text}]")
    return " ".join(told)


def _one_word(word: Word) -> Report:
    rows = []
    by_name = {field.name: field for field in fields(word.layer)}
    for name in (*word.positional, *word.options):
        default = None if name in word.positional else by_name[name].default
        rows.append((name, written(word, name), _default(default)))
    names = _named(word.elsewhere)
    document = {
        "word": word.text,
        "about": word.about,
        "example": word.example,
        "fields": [dict(zip(("name", "written", "default"), row, strict=True)) for row in rows],
        "elsewhere": names,
    }
    elsewhere = "; ".join(f"{program}: {said}" for program, said in names.items())
    return Report(
        title=f"{word.text}: {word.about}",
        columns=(
            Column("name", "Field"),
            Column("written", "Written"),
            Column("default", "Default"),
        )
        if rows
        else (),
        rows=tuple(rows),
        notes=(f"Example: {word.example}", *([elsewhere] if elsewhere else [])),
        document=document,
    )


def _default(value: object) -> str | None:
    match value:
        case None | ():
            return None
        case bool():
            return "on" if value else "off"
        case ((_, _), *_):
            return padding_text(tuple(value))  # type: ignore[arg-type]  # pairs of cells
        case tuple():
            return shape_text(value)
    return str(value)


def _named(elsewhere: Elsewhere) -> dict[str, str]:
    """Return program -> what it calls the layer."""
    said = {
        "PyTorch": elsewhere.torch and elsewhere.torch.form.partition("(")[0],
        "Keras": elsewhere.keras and elsewhere.keras.kind,
        "ONNX": elsewhere.onnx and elsewhere.onnx.op,
    }
    return {program: name.replace("{rank}", "2") for program, name in said.items() if name}
