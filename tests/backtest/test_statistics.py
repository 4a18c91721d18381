"""Figures recomputed by another road: pandas-free hand values, and luck itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from backtest import statistics as st


def test_a_hand_worked_account() -> None:
    values = np.array([100.0, 110.0, 99.0, 99.0, 120.0])
    assert st.returns(values) == pytest.approx([0.1, -0.1, 0.0, 120 / 99 - 1])
    assert st.max_drawdown(values) == pytest.approx(-0.1)
    assert st.drawdowns(values) == pytest.approx([0, 0, -0.1, -0.1, 0])
    assert st.annual_return(values) == pytest.approx(1.2 ** (242 / 4) - 1)
    r = [0.1, -0.1, 0.0, 120 / 99 - 1]
    mean = sum(r) / 4
    spread = math.sqrt(sum((x - mean) ** 2 for x in r) / 3)
    assert st.sharpe(np.array(r)) == pytest.approx(mean / spread * math.sqrt(242))
    assert st.annual_volatility(np.array(r)) == pytest.approx(spread * math.sqrt(242))


def test_what_never_moves_has_no_sharpe() -> None:
    assert math.isnan(st.sharpe(np.zeros(50)))
    assert math.isnan(st.deflated_sharpe(np.zeros(50), [np.zeros(50)]))


def test_one_trial_is_the_probabilistic_sharpe_of_a_symmetric_series() -> None:
    # +a, -b alternating: skew 0 and kurtosis 1 exactly, so the variance term is 1 and the figure is norm.cdf.
    r = np.tile([0.02, -0.01], 100)
    own = r.mean() / r.std(ddof=1)
    assert st.deflated_sharpe(r, [r]) == pytest.approx(norm.cdf(own * math.sqrt(len(r) - 1)), abs=1e-9)


def test_more_trials_deflate() -> None:
    rng = np.random.default_rng(5)
    trials = list(rng.normal(0.0003, 0.01, (20, 500)))
    best = max(trials, key=st.sharpe)
    assert st.deflated_sharpe(best, trials) < st.deflated_sharpe(best, [*trials[:2], best])
    assert st.deflated_sharpe(best, trials) < st.deflated_sharpe(best, [best])


def test_overfitting_is_likely_among_coins_and_unlikely_where_one_is_truly_better() -> None:
    rng = np.random.default_rng(11)
    coins = rng.normal(0, 0.01, (30, 1000))
    assert 0.25 < st.probability_of_overfitting(list(coins)) < 0.8
    coins[3] += 0.005
    assert st.probability_of_overfitting(list(coins)) == 0.0
    assert math.isnan(st.probability_of_overfitting([coins[0]]))
    # equals are on the median, not below it; so is the one between a better and a worse
    assert st.probability_of_overfitting([coins[0], coins[0]]) == 0.0
    up, flat = np.tile([0.02, 0.0], 50), np.tile([0.01, -0.01], 50)
    middling = [np.concatenate(halves) for halves in ((up, flat), (flat, up), (-up, -up))]
    assert st.probability_of_overfitting(middling, blocks=2) == 0.0
    turning = [np.concatenate(halves) for halves in ((up, -up), (-up, up))]
    assert st.probability_of_overfitting(turning, blocks=2) == 1.0
    with pytest.raises(ValueError, match="even"):
        st.probability_of_overfitting(list(coins), blocks=5)


def test_skew_and_fat_tails_enter_as_scipy_measures_them() -> None:
    from scipy.stats import kurtosis, skew

    r = np.random.default_rng(3).standard_t(3, 800) * 0.01 + 0.002
    own = r.mean() / r.std(ddof=1)
    variance = 1 - skew(r) * own + (kurtosis(r, fisher=False) - 1) / 4 * own**2
    expected = norm.cdf(own * math.sqrt(len(r) - 1) / math.sqrt(variance))
    assert st.deflated_sharpe(r, [r]) == pytest.approx(expected, abs=1e-12)
