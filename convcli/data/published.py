"""Data sets that are published in idx files: where they are looked for, and the checksums."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from convcli.arrayfiles import MAX_BYTES
from convcli.data.dataset import Dataset, ProgressCallback
from convcli.data.download import RemoteFile, Timeouts, fetch
from convcli.data.idx import dataset_from_idx
from convcli.errors import InputError

VARIABLE = "CONVCLI_DATA"


def own_folder(name: str) -> Path | None:
    """Return `$CONVCLI_DATA/name` if that folder exists."""
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        raise InputError(f"{VARIABLE} is {root}, which is no folder. Unset it or make the folder.")
    folder = Path(root) / name
    return folder if folder.is_dir() else None


def cache_folder(name: str) -> Path:
    """Return the folder in the user's cache that keeps the data set `name`; it may not exist."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("convcli", appauthor=False)) / "data" / name


@dataclass(frozen=True, slots=True)
class Published:
    """One published data set; `name` is for commands, `title` for sentences.

    `package` is the package of Debian and Ubuntu that has it, `packaged` where that puts it.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    source: str
    package: str = ""
    packaged: str = ""


MNIST = Published(
    "mnist",
    "MNIST",
    tuple("0123456789"),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    (
        RemoteFile(
            "train-images-idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "LeCun, Cortes and Burges, The MNIST database of handwritten digits",
)

FASHION = Published(
    "fashion",
    "Fashion-MNIST",
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        # plain http: the bucket's web address has no other, and the checksum stands here
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    (
        RemoteFile(
            "train-images-idx3-ubyte",
            packed_sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte",
            packed_sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST",
    package="dataset-fashion-mnist",
    packaged="/usr/share/datasets/fashion-mnist",
)

PUBLISHED = {item.name: item for item in (MNIST, FASHION)}
"""By name in commands."""


def _own(what: Published) -> Path | None:
    """Return the folder that the user or the system's package has put the data set into."""
    folder = own_folder(what.name)
    if folder is None and what.packaged and Path(what.packaged).is_dir():
        return Path(what.packaged)
    return folder


def load_published(
    what: Published,
    *,
    progress: ProgressCallback | None = None,
    timeouts: Timeouts | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Return a published data set from `$CONVCLI_DATA/NAME`, its package, the cache or the network.

    One that cannot be had is never replaced by other data.
    """
    folder = _own(what)
    checked = ""
    if folder is None:
        folder = cache_folder(what.name)
        checked = ", SHA-256 checked when it was downloaded"
        try:
            for file in what.files:
                fetch(file, folder, what.mirrors, progress=progress, timeouts=timeouts)
        except InputError as problem:
            put = f"Install Debian's package {what.package}, or put" if what.package else "Put"
            raise InputError(
                f"{what.title} is not to be had. {problem} "
                f"{put} its four files in a folder {what.name} and set {VARIABLE} to the folder "
                "above it, or train on digits made on the spot: --data digits."
            ) from problem
    data = dataset_from_idx(
        folder, name=what.name, class_names=what.class_names, max_bytes=max_bytes
    )
    return replace(data, provenance=f"{what.source}; read from {folder}{checked}")


def folder_of(what: Published) -> Path:
    """Return where the files of `what` are read from: own folder, package or cache."""
    return _own(what) or cache_folder(what.name)


def differing_files(what: Published, folder: Path) -> list[str]:
    """Return the names of the files in `folder` that are not the published ones, by SHA-256.

    Files whose checksum is known only in the form that is not there are passed over.
    """
    wrong = []
    for file in what.files:
        forms = ((file.name, file.unpacked_sha256), (f"{file.name}.gz", file.packed_sha256))
        for name, expected in forms:
            path = folder / name
            if expected is not None and path.exists():
                with path.open("rb") as stream:
                    if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
                        wrong.append(name)
    return wrong
