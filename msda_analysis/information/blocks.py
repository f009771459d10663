"""Which variables depend on which, two at a time: independent blocks are measured apart, and irrelevant ones left out."""

import numpy as np

from msda_analysis.information.ranks import uniform_scores

_WAVES = 4
_FALSE_LINKS = 0.01  # expected wrong links of independent variables in all


def find_blocks(x: np.ndarray, z: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Blocks of variables linked to each other and to no other block, as far as pairs show.

    Two variables are linked when one of the first four cosines of one's rank correlates with one of the other's beyond
    chance. Dependence that no pair shows, such as that of an exclusive or, is not found.

    Args:
        x, z: [n, dim_x] and [n, dim_z] float64, paired samples.

    Returns:
        For every block with variables on both sides, their columns in x and in z. [] when nothing is linked.
    """
    from scipy.sparse.csgraph import connected_components

    linked = _links(uniform_scores(np.hstack([x, z])))
    _, labels = connected_components(linked, directed=False)
    first, second = labels[: x.shape[1]], labels[x.shape[1] :]
    shared = [label for label in np.unique(first) if label in second]
    return [(np.flatnonzero(first == label), np.flatnonzero(second == label)) for label in shared]


def _links(uniforms: np.ndarray) -> np.ndarray:
    """[dim, dim] bool: which pairs of columns depend on each other."""
    from scipy.special import ndtri

    n, dim = uniforms.shape
    waves = np.sqrt(2) * np.cos(np.pi * uniforms[:, :, None] * np.arange(1, _WAVES + 1))  # orthonormal for each column
    flat = waves.reshape(n, dim * _WAVES)
    strength = np.abs(flat.T @ flat / n).reshape(dim, _WAVES, dim, _WAVES).max(axis=(1, 3))
    tests = _WAVES**2 * dim * (dim - 1) / 2
    return strength > -ndtri(_FALSE_LINKS / (2 * tests)) / np.sqrt(n)
