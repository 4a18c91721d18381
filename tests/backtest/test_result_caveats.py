"""What a result's reader is told: doubtful rules and gaps reach the card, the comparison, the page and --json."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.comparison import compare
from backtest.execution import Execution
from backtest.market import Market
from backtest.result import Inputs, _same, load, run, run_on
from data_cache.errors import AshareError, IntegrityError, NoData, UsageError
from data_cache.store import Store
from strategies import BuyAndHold, Momentum

START, END = "2024-02-01", "2024-03-29"


@pytest.fixture(scope="module")
def inputs(sample_db: Path) -> Inputs:
    return load(Store.open(sample_db), [BuyAndHold(), Momentum()], start=START, end=END)


def in_doubt(market: Market) -> Market:
    return dataclasses.replace(market, doubtful=np.ones(market.shape, dtype=bool))


def test_doubtful_limits_are_told_on_the_card_with_their_counts(inputs: Inputs) -> None:
    plain = run_on(BuyAndHold(), inputs)
    assert not any("rule book" in caveat for caveat in plain.card.caveats)
    told = run_on(BuyAndHold(), dataclasses.replace(inputs, market=in_doubt(inputs.market)))
    (said,) = (caveat for caveat in told.card.caveats if "rule book" in caveat)
    refused = told.rejections.filter(pl.col("reason").is_in(["limit_up", "limit_down"])).height
    assert told.fills.height > 0
    assert said.startswith(f"{told.fills.height} of {told.fills.height} fills and {refused} of")
    assert said in told.card.as_dict()["caveats"]


def test_what_explicit_accounting_leaves_out_is_told_on_the_card(sample_db: Path) -> None:
    """The actions of one summer are withheld."""
    inputs = load(Store.open(sample_db), [BuyAndHold()], start="2024-05-06", end="2024-07-31")
    terms = Execution(accounting="explicit")
    whole = run_on(BuyAndHold(), inputs, execution=terms)
    assert not any("explicit accounting" in caveat for caveat in whole.card.caveats)
    market = inputs.market
    before = market.actions.filter(pl.col("ex_date") < inputs.start)
    less = dataclasses.replace(inputs, market=dataclasses.replace(market, actions=before))
    (said,) = (c for c in run_on(BuyAndHold(), less, execution=terms).card.caveats if "explicit" in c)
    assert "ex-dates move the factor by more than" in said
    assert " 2024-06-" in said


def test_a_comparison_tells_what_is_true_of_one_strategy_alone_with_its_name(
    sample_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two strategies trade differently, so the sentence that counts their fills is each one's own."""
    from backtest import market as module

    real = module.load
    monkeypatch.setattr(module, "load", lambda *a, **k: in_doubt(real(*a, **k)))
    store = Store.open(sample_db)
    told = compare([BuyAndHold(), Momentum()], store, start=START, end=END, benchmark=None)
    counted = [caveat for caveat in told.caveats if "rule book" in caveat]
    assert [caveat.split(":")[0] for caveat in counted] == ["buy-and-hold", "momentum"]
    assert sum(caveat.startswith("SAMPLE") for caveat in told.caveats) == 1
    cards = told.to_dict()["cards"]
    assert all(any("rule book" in caveat for caveat in card["caveats"]) for card in cards.values())
    from backtest.report.page import render

    assert "buy-and-hold: " in render(told)


def less(sample_db: Path, path: Path, without: pl.Expr) -> None:
    """The sample store's market in another file, but for some bars."""
    full, store = Store.open(sample_db), Store.create(path, sample=True)
    store.put_instruments(full.instruments(), source="sample")
    store.put_suspensions(full.suspensions(), source="sample")
    store.put_factors(full.factors(), source="sample")
    bars = full.bars(basis="raw").drop("basis", "source", strict=False)
    store.put_bars(bars.filter(~without), source="sample")


@pytest.mark.parametrize(
    ("first", "last"),
    [("2024-02-26", "2024-03-29"), ("2024-02-01", "2024-03-15"), ("2024-02-01", "2024-03-29")],
)
def test_an_index_of_another_span_gives_no_excess_and_says_its_dates(
    sample_db: Path, tmp_path: Path, first: str, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two returns over two stretches of time have no difference that means anything."""
    from backtest.cli import main

    path = tmp_path / "index.duckdb"
    less(sample_db, path, pl.lit(value=False))
    points = Store.open(sample_db).index_bars(start=first, end=last).drop("source", strict=False)
    Store.open(path).put_index_bars(points, source="sample")
    asked = ["compare", "buy-and-hold", "momentum", "--start", START, "--end", END, "--db", str(path)]
    assert main([*asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    told = [caveat for caveat in said["caveats"] if caveat.startswith("000300.SH")]
    *own, index = said["table"]
    assert len(own) == 2
    if (first, last) == (START, END):
        assert not told
        assert all(row["excess_return"] == row["total_return"] - index["total_return"] for row in own)
    else:
        assert all(row["excess_return"] is None for row in own)
        assert f"has bars from {first} to {last} alone, the strategies run from {START} to {END}" in told[0]
        assert (index["total_return"] + 1) * 1e6 == pytest.approx(index["final_value"])
    comparison = compare([BuyAndHold(), Momentum()], Store.open(path), start=START, end=END)
    assert [str(day) for day in comparison.benchmark["date"][[0, -1]]] == [first, last]
    page = comparison.to_html(tmp_path / "page.html").read_text()
    assert all(caveat in page for caveat in told)


@pytest.fixture
def gappy(sample_db: Path, tmp_path: Path, inputs: Inputs) -> tuple[Path, str, str]:
    """The sample store less one bar, and which."""
    path = tmp_path / "gap.duckdb"
    traded = ~np.isnan(inputs.market.close[:, 0])
    symbol, day = inputs.market.symbols[0], str(inputs.market.dates[np.flatnonzero(traded)[10]])
    less(sample_db, path, (pl.col("symbol") == symbol) & (pl.col("date") == pl.lit(day).str.to_date()))
    return path, symbol, day


def test_a_missing_bar_is_counted_or_refused_by_name(gappy: tuple[Path, str, str]) -> None:
    path, symbol, day = gappy
    told = run(BuyAndHold(), Store.open(path), start=START, end=END)
    assert any(
        "1 symbol-sessions without a bar" in c and f"{symbol} on {day}" in c for c in told.card.caveats
    )
    with pytest.raises(IntegrityError, match=rf"{symbol} has no bar on {day}"):
        run(BuyAndHold(), Store.open(path), gaps="raise", start=START, end=END)
    with pytest.raises(IntegrityError, match=rf"{symbol} has no bar on {day}"):
        compare([BuyAndHold()], Store.open(path), gaps="raise", start=START, end=END, benchmark=None)


def test_a_mistyped_gaps_is_refused(sample_db: Path) -> None:
    store = Store.open(sample_db)
    with pytest.raises(UsageError, match="gaps is 'rais'; needs 'raise' or 'suspended'"):
        run(BuyAndHold(), store, start=START, end=END, gaps="rais")  # type: ignore[arg-type]


def test_the_command_refuses_the_gap_too(
    gappy: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    from backtest.cli import main

    path, symbol, day = gappy
    asked = ["buy-and-hold", "--start", START, "--end", END, "--db", str(path)]
    assert main(["backtest", *asked, "--gaps", "raise"]) == 5
    assert f"{symbol} has no bar on {day}" in capsys.readouterr().err
    assert main(["backtest", *asked, "--json"]) == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert any(f"{symbol} on {day}" in caveat for caveat in card["caveats"])


def test_a_symbol_without_any_bar_is_refused_by_name(sample_db: Path, tmp_path: Path, inputs: Inputs) -> None:
    path = tmp_path / "less.duckdb"
    symbol = inputs.market.symbols[1]
    less(sample_db, path, pl.col("symbol") == symbol)
    store = Store.open(path)
    assert symbol in run(BuyAndHold(), store, start=START, end=END).card.missing_symbols
    with pytest.raises(NoData, match=symbol):
        run(BuyAndHold(), store, start=START, end=END, gaps="raise")


@pytest.mark.parametrize("column", [5, 7, 8, 9])  # price, commission, stamp duty, transfer fee
def test_engines_that_differ_in_one_fee_of_one_fill_are_told_apart(inputs: Inputs, column: int) -> None:
    simulation = run_on(Momentum(), inputs).simulation
    _same(simulation, dataclasses.replace(simulation), Momentum())
    other = simulation.raw_fills.copy()
    other[-1, column] += 1
    with pytest.raises(AshareError, match="1 fills"):
        _same(simulation, dataclasses.replace(simulation, raw_fills=other), Momentum())


def test_engines_that_refuse_other_orders_are_told_apart(inputs: Inputs) -> None:
    simulation = run_on(Momentum(), inputs, cash=30_000).simulation
    assert simulation.rejections.height
    other = simulation.raw_lost.copy()
    other[0, 7] = 4  # another reason
    with pytest.raises(AshareError, match="refuse other orders"):
        _same(simulation, dataclasses.replace(simulation, raw_lost=other), Momentum())


def test_an_order_refused_on_many_sessions_is_one_order_that_lost_what_it_never_traded(
    inputs: Inputs,
) -> None:
    result = run_on(Momentum(), inputs)
    suspended, limit_down, not_listed, cash, volume_cap = 2, 1, 3, 7, 8
    million = 10**6
    lost = [  # decision, date, column, side, wanted, filled, lost, reason
        *((0, t, 0, 1, 500 * million, 0, 500 * million, suspended) for t in (1, 2, 3)),  # filled on 4
        (0, 1, 1, 1, 300 * million, 0, 300 * million, suspended),
        (0, 2, 1, 1, 300 * million, 0, 300 * million, limit_down),  # the next book replaced it
        (0, 1, 2, 0, 700 * million, 400 * million, 200 * million, volume_cap),
        (0, 1, 2, 0, 700 * million, 400 * million, 100 * million, cash),
        (5, 6, 0, 1, 900 * million, 0, 900 * million, suspended),  # the first symbol again, of another book
        (5, 6, 3, 0, -1, 0, 0, not_listed),
    ]
    fills = [(0, 1, 2, 0, 400 * million, *[0] * 5), (0, 4, 0, 1, 500 * million, *[0] * 5)]
    simulation = dataclasses.replace(
        result.simulation, raw_lost=np.array(lost), raw_fills=np.array(fills), units=np.ones(2)
    )
    told = dataclasses.replace(result, simulation=simulation)
    assert told.rejections.height == 9
    assert told.refused == 5
    assert told.refusals.rows() == [
        ("suspended", "sell", 3, 5, 900.0),
        ("cash", "buy", 1, 1, 100.0),
        ("limit_down", "sell", 1, 1, 300.0),
        ("not_listed", "buy", 1, 1, 0.0),
        ("volume_cap", "buy", 1, 1, 200.0),
    ]


def test_a_notebook_shows_one_line_of_what_a_result_is(sample_db: Path) -> None:
    store = Store.open(sample_db)
    told = compare([BuyAndHold(), Momentum()], store, start=START, end=END)
    one = told.results["buy-and-hold"]
    shown = {kind: repr(each) for kind, each in {
        "Comparison": told, "Backtest": one, "Inputs": one.inputs, "Market": one.inputs.market,
        "Simulation": one.simulation,
    }.items()}  # fmt: skip
    for kind, text in shown.items():
        assert text.startswith(f"{kind}(")
        assert "\n" not in text
        assert len(text) < 300
        assert START in text
        assert END in text
    total = one.equity["value"][-1] / one.equity["value"][0] - 1
    for part in ("SAMPLE", f"{total:+.1%}", f"{one.fills.height} fills", store.snapshot_id(), "BuyAndHold("):
        assert part in shown["Backtest"]
    for part in ("SAMPLE", f"buy-and-hold {total:+.1%}", "momentum ", "000300.SH ", store.snapshot_id()):
        assert part in shown["Comparison"]
