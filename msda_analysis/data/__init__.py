"""Datasets in memory, and batches from them."""

from msda_analysis.data.datasets import Dataset, channel_statistics
from msda_analysis.data.load import FILE_LOADERS, LOADERS, NAMES, dataset_settings, load_dataset
from msda_analysis.data.loader import AUGMENTS, Batch, iterate_batches
from msda_analysis.data.samples import sample_images

__all__ = [
    "AUGMENTS", "FILE_LOADERS", "LOADERS", "NAMES", "Batch", "Dataset",
    "channel_statistics", "dataset_settings", "iterate_batches", "load_dataset", "sample_images",
]  # fmt: skip
