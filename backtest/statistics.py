"""Performance figures of daily account values, and what survives having tried several strategies.

Returns are plain daily fractions; a year is 242 sessions; the risk-free rate is zero, as quoted Sharpe ratios of
A-share funds mostly have it. Undefined figures (a constant account, one observation) are NaN, never 0.

References:
    Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio", J. Portfolio Management 40(5), eq. 1-2.
    Bailey, Borwein, Lopez de Prado and Zhu (2017), "The Probability of Backtest Overfitting", J. Computational
    Finance 20(4): combinatorially symmetric cross-validation (CSCV).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "SESSIONS_PER_YEAR",
    "annual_return",
    "annual_volatility",
    "deflated_sharpe",
    "drawdowns",
    "max_drawdown",
    "probability_of_overfitting",
    "returns",
    "sharpe",
]

SESSIONS_PER_YEAR = 242
EULER = 0.5772156649015329

Vector = npt.NDArray[np.float64]


def returns(values: Vector) -> Vector:
    """Daily returns of ``values``, one shorter."""
    return np.asarray(values[1:] / values[:-1] - 1.0, dtype=np.float64)


def annual_return(values: Vector) -> float:
    """Compound growth a year, fraction."""
    n = len(values) - 1
    return float((values[-1] / values[0]) ** (SESSIONS_PER_YEAR / n) - 1.0) if n > 0 else math.nan


def annual_volatility(r: Vector) -> float:
    """Sample standard deviation of daily returns, times the root of the year."""
    return float(np.std(r, ddof=1) * math.sqrt(SESSIONS_PER_YEAR)) if len(r) > 1 else math.nan


def sharpe(r: Vector) -> float:
    """Mean over sample standard deviation of daily returns, annualised; NaN where nothing moved."""
    spread = float(np.std(r, ddof=1)) if len(r) > 1 else 0.0
    return float(np.mean(r)) / spread * math.sqrt(SESSIONS_PER_YEAR) if spread > 1e-15 else math.nan


def drawdowns(values: Vector) -> Vector:
    """Distance below the highest value so far, as a fraction <= 0, one per value."""
    return np.asarray(values / np.maximum.accumulate(values) - 1.0, dtype=np.float64)


def max_drawdown(values: Vector) -> float:
    """The deepest of ``drawdowns``."""
    return float(drawdowns(values).min())


def deflated_sharpe(r: Vector, trials: Sequence[Vector]) -> float:
    """Probability that the true Sharpe ratio exceeds what the best of ``trials`` would show by luck alone.

    Args:
        r: daily returns of the strategy in question.
        trials: daily returns of everything that was tried, the strategy included; with one trial this is the
            probabilistic Sharpe ratio against zero.

    Returns:
        A probability; NaN where a Sharpe ratio is undefined. 0.95 is the usual bar.
    """
    from scipy.special import ndtr, ndtri  # the normal distribution; scipy.stats takes a second to import

    year = math.sqrt(SESSIONS_PER_YEAR)
    own = sharpe(r) / year
    tried = np.array([s for s in (sharpe(t) / year for t in trials) if not math.isnan(s)])
    if math.isnan(own) or len(tried) == 0:
        return math.nan
    benchmark = 0.0
    if (n := len(tried)) > 1:
        spread = float(np.std(tried, ddof=1))
        benchmark = spread * ((1 - EULER) * ndtri(1 - 1 / n) + EULER * ndtri(1 - 1 / (n * math.e)))
    standard = (r - r.mean()) / r.std()
    third, fourth = float((standard**3).mean()), float((standard**4).mean())
    variance = 1 - third * own + (fourth - 1) / 4 * own**2
    if variance <= 0:
        return math.nan
    return float(ndtr((own - benchmark) * math.sqrt(len(r) - 1) / math.sqrt(variance)))


def probability_of_overfitting(trials: Sequence[Vector], *, blocks: int = 10) -> float:
    """How often the best strategy of one half of history falls below the median in the other half (CSCV).

    On the median is not below it: where all strategies do the same, none was chosen by luck.

    Args:
        trials: daily returns over the same sessions, one vector a strategy; two at least.
        blocks: an even number of equal stretches of history; every half-and-half split of them is tried.

    Returns:
        A probability; NaN with fewer than two strategies or fewer than two sessions a block.
    """
    if blocks % 2:
        raise ValueError(f"blocks is {blocks}; needs an even number")
    matrix = np.array(trials, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or matrix.shape[1] < 2 * blocks:
        return math.nan
    parts = np.array_split(np.arange(matrix.shape[1]), blocks)
    below = splits = 0
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in chosen])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        best = int(np.argmax(_plain_sharpe(matrix[:, inside])))
        scores = _plain_sharpe(matrix[:, outside])
        rank = (np.sum(scores < scores[best]) + 0.5 * (np.sum(scores == scores[best]) - 1) + 1) / (
            len(scores) + 1
        )
        below += rank < 0.5
        splits += 1
    return below / splits


def _plain_sharpe(block: npt.NDArray[np.float64]) -> Any:
    """Sharpe per row; a row that never moved earns 0, so that it can be ranked."""
    spread = block.std(axis=1, ddof=1)
    return np.divide(block.mean(axis=1), spread, out=np.zeros(len(block)), where=spread > 1e-15)
