"""The divergence that two samples of the same images show by chance."""

import math

from scipy import stats

FALSE_ALARMS = 0.001  # probability that a comparison of samples of the same images finds drift, if nothing is allowed


def by_chance(cells: int, current: float, reference: float, figures: int) -> float:
    """Returns the divergence that chance alone exceeds with a probability of `FALSE_ALARMS` over all `figures`.

    Let p and q be the shares of two samples of n and m images in k cells, and both have the same expectation r. For
    small differences the Jensen-Shannon divergence is, to second order and in bits,

        JS(p, q) = 1/(8 ln 2) sum (p - q)^2 / r,

    and p - q has the covariance (diag(r) - r r^T)(1/n + 1/m). So JS 8 ln 2 / (1/n + 1/m) has the chi-square
    distribution with k - 1 degrees of freedom: a mean of k - 1, and the quantile that is returned.

    Args:
      cells: k.
      current: n.
      reference: m.
      figures: comparisons that are made together; each gets an equal part of the probability (Bonferroni).
    """
    if cells < 2 or not current or not reference:
        return 0.0
    quantile = float(stats.chi2.isf(FALSE_ALARMS / figures, cells - 1))
    return min(1.0, (1 / current + 1 / reference) / (8 * math.log(2)) * quantile)
