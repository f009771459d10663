"""Datasets in memory, and batches from them."""

from msda_analysis.data.datasets import NAMES, Dataset, channel_statistics, load_dataset
from msda_analysis.data.loader import AUGMENTS, Batch, iterate_batches
from msda_analysis.data.samples import sample_images

__all__ = [
    "AUGMENTS", "NAMES", "Batch", "Dataset",
    "channel_statistics", "iterate_batches", "load_dataset", "sample_images",
]  # fmt: skip
