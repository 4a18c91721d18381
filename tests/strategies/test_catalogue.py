"""Strategies from text: names, parameters, bounds, and what their docstrings promise."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest.execution import Execution
from data_cache.errors import UnknownName, UsageError
from signals.scoring import weights
from strategies import ALL, AsicAdoptionDrift, LeaderSatellites, Momentum, describe, make


def test_make_reads_every_type() -> None:
    assert make("asic-drift", {"hold": "5", "max_weight": " 0.1 ", "wins": "no"}) == AsicAdoptionDrift(
        hold=5, max_weight=0.1, wins=False
    )
    assert make("leader-satellites", {"leader": "002837.SZ"}) == LeaderSatellites(leader="002837.SZ")
    assert make("leader-satellites", {"leader": "none"}) == LeaderSatellites()
    assert make("momentum") == Momentum()


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("momentun", {}, "unknown strategy 'momentun'; did you mean 'momentum'"),
        ("asic-drift", {"hodl": "3"}, "unknown parameter of asic-drift 'hodl'; did you mean 'hold'"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(name: str, params: dict[str, str], says: str) -> None:
    with pytest.raises(UnknownName, match=says):
        make(name, params)


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("asic-drift", {"hold": "0"}, "hold is 0; needs at least 1"),
        ("asic-drift", {"hold": "251"}, "hold is 251; needs at most 250"),
        ("asic-drift", {"hold": "2.5"}, "hold is '2.5'; needs a whole number"),
        ("asic-drift", {"hold": ""}, "hold is ''; needs a whole number"),
        ("asic-drift", {"wins": "maybe"}, "wins is 'maybe'; needs true or false"),
        ("asic-drift", {"max_weight": "nan"}, "max_weight is nan; needs a number"),
        ("asic-drift", {"max_weight": "inf"}, "max_weight is inf; needs at most 1"),
        ("leader-satellites", {"leader": "envicool"}, "'envicool' is not an A-share symbol"),
        ("momentum", {"lookback": "240", "skip": "10"}, "skip is 10; needs at most 5"),
        ("macro-overlay", {"floor": "0.9", "ceiling": "0.5"}, "ceiling is 0.5; needs at least 0.9"),
    ],
)
def test_a_bad_value_names_the_parameter_the_value_and_the_bound(
    name: str, params: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        make(name, params)


@pytest.mark.parametrize(
    ("cls", "given", "says"),
    [
        (AsicAdoptionDrift, {"hold": None}, "hold is None; needs a whole number from 1 to 250"),
        (AsicAdoptionDrift, {"hold": "20"}, "hold is '20'; needs a whole number from 1 to 250"),
        (AsicAdoptionDrift, {"hold": 1.5}, "hold is 1.5; needs a whole number from 1 to 250"),
        (AsicAdoptionDrift, {"hold": True}, "hold is True; needs a whole number from 1 to 250"),
        (AsicAdoptionDrift, {"wins": "no"}, "wins is 'no'; needs true or false"),
        (AsicAdoptionDrift, {"max_weight": float("nan")}, "max_weight is nan; needs a number from"),
        (Momentum, {"top": 2.5}, "top is 2.5; needs a whole number from 1 to 100"),
        (Momentum, {"lookback": "60"}, "lookback is '60'; needs a whole number from 5 to 240"),
        (LeaderSatellites, {"leader": 2837}, "leader is 2837; needs text or none"),
        (Execution, {"slippage_bps": "5"}, "slippage_bps is '5'; needs a number from 0 to 1000"),
        (Execution, {"buy_retry": 1.5}, "buy_retry is 1.5; needs a whole number from 0 to 10000"),
        (Execution, {"price": "clse"}, "price is 'clse'; needs 'open' or 'close' or 'vwap'"),
    ],
)
def test_a_wrong_type_from_python_is_refused_too(cls: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        cls(**given)


def test_a_whole_number_is_a_number_and_numpys_are_too() -> None:
    assert AsicAdoptionDrift(hold=np.int64(5), max_weight=1).hold == 5  # type: ignore[arg-type]
    assert AsicAdoptionDrift(max_weight=np.float64(0.5)).max_weight == 0.5


@pytest.mark.parametrize("name", ALL)
def test_the_docstring_states_claim_source_refutation_and_every_parameter(name: str) -> None:
    told = describe(name)
    assert told["claim"].endswith(".")
    for part in ("source", "refuted_if", "method"):
        assert len(told[part]) > 40, part
    fields = dataclasses.fields(ALL[name])
    assert [p["name"] for p in told["parameters"]] == [f.name for f in fields]
    for parameter in told["parameters"]:
        assert parameter["text"]
        if parameter["type"] in ("int", "float"):
            assert " to " in parameter["text"], f"{parameter['name']}: its bounds are not told"
    assert set(told["kinds"]) <= set(weights()["kind"])


@pytest.mark.parametrize("name", ALL)
def test_a_strategy_is_frozen_pure_polars_and_lazy(name: str, make_panel: Any) -> None:
    strategy = make(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        strategy.min_history = 3  # type: ignore[attr-defined]
    assert isinstance(strategy.targets(make_panel({"A": {}})), pl.LazyFrame)
    module = inspect.getmodule(type(strategy))
    assert module is not None
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    assert ".collect(" not in source


def test_the_command_lists_them_without_heavy_imports() -> None:
    code = (
        "import sys; from backtest.cli import main; code = main(['strategies', '--json']);"
        "heavy = {'pandas', 'numba', 'vectorbt', 'akshare', 'duckdb', 'exchange_calendars', 'plotly'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    listed = json.loads(done.stdout)["strategies"]
    assert [each["name"] for each in listed] == list(ALL)


def test_the_command_prints_one_for_a_reader(capsys: pytest.CaptureFixture[str]) -> None:
    from backtest.cli import main

    assert main(["strategies", "macro-overlay"]) == 0
    out = capsys.readouterr().out
    assert "macro-overlay" in out
    assert "refuted if:" in out
    assert "-p neutral=0.75" in out
    assert main(["strategies", "macro-overlai"]) == 2
    assert "did you mean 'macro-overlay'" in capsys.readouterr().err
