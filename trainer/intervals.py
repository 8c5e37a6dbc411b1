"""The 95 % intervals of means over images."""

import numpy as np

Z = 1.96  # standard errors on either side of the mean that hold 95 % of a normal distribution


class Means:
    """The mean of each column over rows that arrive in batches, with half the width of its interval.

    It adds up the squares of deviations from means of batches (Chan et al., 1979), so a large mean costs no digits.
    """

    def __init__(self, columns: int) -> None:
        self._count, self.mean, self._squares = 0, np.zeros(columns), np.zeros(columns)

    def add(self, rows: np.ndarray) -> None:
        """Adds rows [B, columns]."""
        new, before, total = len(rows), self._count, self._count + len(rows)
        mean = rows.mean(axis=0, dtype=np.float64)
        step = mean - self.mean
        self._squares += np.square(rows - mean).sum(axis=0) + np.square(step) * (before * new / total)
        self.mean = self.mean + step * (new / total)
        self._count = total

    @property
    def half_width(self) -> np.ndarray:
        """Half the width of each interval, [columns], from the unbiased variance; NaN for one row."""
        with np.errstate(invalid="ignore"):
            return Z * np.sqrt(self._squares / (self._count * (self._count - np.float64(1.0))))
