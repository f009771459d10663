"""Normal scores: every variable replaced by the normal quantile of its rank, which leaves the information unchanged."""

import numpy as np


class NormalScores:
    """Monotone map of each column to normal quantiles, learned on some samples and applied to any.

    Between two learned values the map is linear, beyond the ends it goes on with the slope of the outer tenth part, so
    it never folds values together.
    """

    def __init__(self, samples: np.ndarray):
        from scipy.special import ndtri

        self.knots = np.sort(samples, axis=0)
        self.scores = ndtri((np.arange(len(samples)) + 0.5) / len(samples))

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """[n, dim] normal scores."""
        columns = zip(samples.T, self.knots.T, strict=True)
        return np.stack([self._map_column(*column) for column in columns], axis=1)

    def _map_column(self, values: np.ndarray, knots: np.ndarray) -> np.ndarray:
        mapped = np.interp(values, knots, self.scores)
        tenth = max(len(knots) // 10, 1)
        for end, inner in ((0, tenth), (-1, -1 - tenth)):
            reach, beyond = knots[end] - knots[inner], (values - knots[end]) * (-1 if end == 0 else 1) > 0
            slope = (self.scores[end] - self.scores[inner]) / reach if reach else 0.0
            # a logarithm keeps the far tails of heavy-tailed variables within a few units
            excess = slope * np.abs(values[beyond] - knots[end])
            mapped[beyond] = self.scores[end] + (-1 if end == 0 else 1) * np.log1p(excess)
        return mapped


def normal_scores(samples: np.ndarray) -> np.ndarray:
    """[n, dim] normal scores of samples among themselves; ties share their mean rank."""
    from scipy.special import ndtri

    return ndtri(uniform_scores(samples))


def uniform_scores(samples: np.ndarray) -> np.ndarray:
    """[n, dim] ranks of samples among themselves, as shares inside (0, 1); ties share their mean rank."""
    from scipy.stats import rankdata

    return (rankdata(samples, axis=0) - 0.5) / len(samples)
