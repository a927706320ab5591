"""Data sets that are published in idx files: where they are, and what shows that they are whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convcli.data.dataset import Dataset
from convcli.data.idxset import dataset_from_idx
from convcli.data.places import VARIABLE, cache_folder, own_folder
from convcli.errors import InputProblem


@dataclass(frozen=True, slots=True)
class Published:
    """One published data set.

    Attributes:
        name: its name in commands.
        title: its name in sentences.
        class_names: the names of labels 0 to 9.
        mirrors: addresses of folders that hold the files, tried in turn.
        sha256: of each unpacked file, by its name without `.gz`.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    mirrors: tuple[str, ...]
    sha256: dict[str, str]


MNIST = Published(
    "mnist",
    "MNIST",
    tuple("0123456789"),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
)

PUBLISHED = {MNIST.name: MNIST}
"""By name in commands."""


def load_published(what: Published) -> Dataset:
    """Return a published data set from `$CONVCLI_DATA/NAME` or the user's cache.

    Raises:
        InputProblem: it is in neither place, or its files are damaged.
    """
    for folder in (own_folder(what.name), cache_folder(what.name)):
        if folder is not None and folder.is_dir():
            data = dataset_from_idx(folder, name=what.name, class_names=what.class_names)
            return replace(data, provenance=f"{what.title}, read from {folder}")
    raise InputProblem(
        f"{what.title} is not on this machine. Put its four files in a folder {what.name} and set "
        f"{VARIABLE} to the folder above it."
    )
