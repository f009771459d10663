"""A plain NumPy version of the released algorithm, one mask at a time: the yardstick of the mask benchmark."""

import numpy as np


def make_mask(
    noise: np.ndarray, size: tuple[int, int], *, lam: float, round_up: bool, decay_power: float = 3.0
) -> np.ndarray:
    """One mask from one noise array, with a full sort.

    Args:
        noise: [1, height, half width, 2] standard normals, laid out as the released code draws them.

    Returns:
        [1, height, width] float of zeros and ones.
    """
    height, width = size
    columns = np.fft.fftfreq(width)[: noise.shape[2]]
    frequency = np.sqrt(np.fft.fftfreq(height)[:, None] ** 2 + columns[None] ** 2)
    spectrum = noise / (np.maximum(frequency, 1 / max(size)) ** decay_power)[None, :, :, None]
    field = np.fft.irfftn(spectrum[:, 0] + 1j * spectrum[:, 1], s=size, axes=(1, 2))
    grey = (field - field.min()) / (field.max() - field.min())
    order = np.argsort(-grey.ravel())
    n_kept = int(np.ceil(lam * grey.size) if round_up else np.floor(lam * grey.size))
    mask = np.zeros(grey.size)
    mask[order[:n_kept]] = 1.0
    return mask.reshape(1, height, width)


def sample_mask(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """One mask with lambda ~ Beta(1, 1)."""
    height, width = size
    noise = generator.standard_normal((1, height, width // 2 + 1 + width % 2, 2))
    return make_mask(noise, size, lam=generator.beta(1.0, 1.0), round_up=bool(generator.random() < 0.5))
