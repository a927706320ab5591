"""From the word after `--data` to a `Dataset`."""

from __future__ import annotations

from pathlib import Path

from convcli.data.dataset import Dataset, ProgressCallback
from convcli.data.idx import is_idx
from convcli.data.idxset import dataset_from_idx
from convcli.data.npz import dataset_from_npz
from convcli.data.published import PUBLISHED, load_published
from convcli.errors import InputProblem, did_you_mean

NAMES = (*PUBLISHED, "digits")
"""The names that need no path."""


def load_dataset(
    source: str | Path,
    *,
    seed: int = 0,
    count: int | None = None,
    progress: ProgressCallback | None = None,
) -> Dataset:
    """Return the data set that `source` names.

    Args:
        source: `mnist` or `fashion`; `digits`, made on the spot; a folder of idx files, the
            images' file of an idx pair, or both files with a comma between them; an `.npz` file.
        seed: of what is made or drawn by chance.
        count: training samples of `digits`; 60,000 when left out. Test samples are a sixth.
        progress: called while something takes long.

    Returns:
        a `Dataset` whose samples stay uint8 in memory where the source holds bytes.

    Raises:
        InputProblem: unknown name, missing place, or contents that cannot be used.
    """
    if str(source) in PUBLISHED:
        return load_published(PUBLISHED[str(source)], progress=progress)
    if str(source) == "digits":
        from convcli.data.digits import TRAIN_COUNT, digits_dataset

        wanted = count or TRAIN_COUNT
        return digits_dataset(wanted, max(10, wanted // 6), seed=seed, progress=progress)
    place = Path(source)
    if "," in place.name or is_idx(place):
        return dataset_from_idx(place)
    if not place.exists():
        raise InputProblem(_unknown(str(source)))
    if place.is_dir() and any(is_idx(path) for path in place.iterdir()):
        return dataset_from_idx(place)
    if place.suffix == ".npz":
        return dataset_from_npz(place)
    raise InputProblem(f"{place} is none of the kinds that are read: idx files, .npz.")


def _unknown(source: str) -> str:
    return (
        f"There is no data set or file {source}.{did_you_mean(source, NAMES)} "
        f"Names: {', '.join(NAMES)}; or give a path."
    )
