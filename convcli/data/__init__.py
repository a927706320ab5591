"""Where samples come from: idx and npz files, published sets, folders, series, made digits."""

from convcli.data.augmentation import Augmentation, read_augmentation
from convcli.data.dataset import Dataset, ProgressCallback, Split, make_dataset
from convcli.data.sources import load_dataset

__all__ = [
    "Augmentation",
    "Dataset",
    "ProgressCallback",
    "Split",
    "load_dataset",
    "make_dataset",
    "read_augmentation",
]
