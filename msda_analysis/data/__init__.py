"""Datasets in memory, and batches from them."""

from msda_analysis.data.augments import AUGMENTS, find_augment
from msda_analysis.data.datasets import Dataset, channel_statistics
from msda_analysis.data.load import FILE_LOADERS, LOADERS, NAMES, dataset_settings, load_dataset
from msda_analysis.data.loader import Batch, iterate_batches
from msda_analysis.data.samples import sample_images

__all__ = [
    "AUGMENTS", "FILE_LOADERS", "LOADERS", "NAMES", "Batch", "Dataset",
    "channel_statistics", "dataset_settings", "find_augment", "iterate_batches", "load_dataset", "sample_images",
]  # fmt: skip
