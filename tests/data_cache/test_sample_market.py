"""The sample market keeps the exchange's rules, recomputed here in decimals, and lets no note work early."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from data_cache import sample, sample_market
from data_cache.calendar import xshg_sessions
from data_cache.errors import UsageError
from data_cache.sample_market import PUSHES, Market, generate
from data_cache.store import Store
from data_cache.universe import load_universe

FEN = Decimal("0.01")


@pytest.fixture(scope="module")
def sessions() -> pl.Series:
    return xshg_sessions()


@pytest.fixture(scope="module")
def market(sessions: pl.Series) -> Market:
    return generate(sessions, load_universe("sample"), sample.SEED)


def fen(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(FEN, ROUND_HALF_UP)


def reference(previous: float, action: dict[str, float] | None) -> Decimal:
    """The exchange's ex-rights formula: (previous close - cash) / (1 + new shares), half-up to the fen."""
    if action is None:
        return fen(previous)
    shares = Decimal(repr(action["bonus"])) + Decimal(repr(action["transfer"]))
    return ((fen(previous) - fen(action["cash"])) / (1 + shares)).quantize(FEN, ROUND_HALF_UP)


def percent(symbol: str, date: dt.date) -> Decimal:
    """Normal limits since 2021 by board, and 5 % for a main-board company under ST; written down by hand."""
    if symbol[:3] in ("300", "301", "688"):
        return Decimal("0.20")
    st = symbol == "605992.SH" and dt.date(2023, 5, 5) <= date < dt.date(2024, 6, 3)
    return Decimal("0.05") if st else Decimal("0.10")


@pytest.mark.parametrize("seed", [sample.SEED, 7])
def test_every_price_is_a_whole_fen_within_its_limits(sessions: pl.Series, seed: int) -> None:
    made = generate(sessions, load_universe("sample"), seed)
    actions = {(a["symbol"], a["ex_date"]): a for a in made.corporate_actions.iter_rows(named=True)}
    free = made.bars.filter(pl.col("symbol") == "688991.SH").head(5)["date"].to_list()
    locked = 0
    for (symbol,), bars in made.bars.group_by("symbol", maintain_order=True):
        for before, bar in pairwise(bars.iter_rows(named=True)):
            for name in ("open", "high", "low", "close"):
                assert bar[name] == float(fen(bar[name]))
            assert (
                bar["low"] <= min(bar["open"], bar["close"]) <= max(bar["open"], bar["close"]) <= bar["high"]
            )
            if symbol == "688991.SH" and bar["date"] in free:
                continue
            base = reference(before["close"], actions.get((str(symbol), bar["date"])))
            ratio = percent(str(symbol), bar["date"])
            up = (base * (1 + ratio)).quantize(FEN, ROUND_HALF_UP)
            down = (base * (1 - ratio)).quantize(FEN, ROUND_HALF_UP)
            assert down <= fen(bar["low"]), (symbol, bar)
            assert fen(bar["high"]) <= up, (symbol, bar)
            locked += bar["high"] == bar["low"] and fen(bar["high"]) in (up, down)
    assert locked >= 10


def test_the_average_price_lies_in_the_days_range(market: Market) -> None:
    average = market.bars.select(a=pl.col("amount") / pl.col("volume"), low="low", high="high")
    slack = 0.01 / market.bars["volume"].min()  # type: ignore[operator]
    assert average.filter(~pl.col("a").is_between(pl.col("low") - slack, pl.col("high") + slack)).is_empty()
    assert (market.bars["volume"] % 100 == 0).all()


def test_bars_and_suspensions_cover_every_session_once(market: Market, sessions: pl.Series) -> None:
    span = sessions.filter(sessions.is_between(dt.date(2021, 1, 4), dt.date(2025, 12, 31)))
    listed = dict(market.instruments.select("symbol", "listed").iter_rows())
    for symbol, since in listed.items():
        days = [
            frame.filter(pl.col("symbol") == symbol)["date"].to_list()
            for frame in (market.bars, market.suspensions)
        ]
        assert not set(days[0]) & set(days[1])
        assert sorted(days[0] + days[1]) == span.filter(span >= (since or span[0])).to_list()
    assert market.suspensions.height == 39
    assert market.index_bars["date"].to_list() == span.to_list()


def test_a_factor_turns_an_ex_date_into_what_the_holder_got(market: Market) -> None:
    """Previous close = cash + (1 + new shares) x what one share is worth ex, by the factor."""
    close = {(s, d): c for s, d, c in market.bars.select("symbol", "date", "close").iter_rows()}
    days = {s: f["date"].to_list() for (s,), f in market.bars.group_by("symbol")}
    factor = {(s, d): f for s, d, f in market.factors.iter_rows()}
    last = {}
    for (symbol, date), value in sorted(factor.items()):
        jump = value / last.get(symbol, value)
        last[symbol] = value
        found = market.corporate_actions.filter(pl.col("symbol") == symbol, pl.col("ex_date") == date)
        if found.is_empty():
            assert value == 1.0
            assert days[symbol][0] == date
            continue
        action = found.row(0, named=True)
        previous = close[symbol, max(d for d in days[symbol] if d < date)]
        shares = action["bonus"] + action["transfer"]
        assert previous == pytest.approx(action["cash"] + (1 + shares) * previous / jump, rel=1e-12)
        assert action["announced_on"] < action["record_date"] < action["ex_date"]
    assert market.corporate_actions.height == market.factors.height - 16
    assert market.corporate_actions.filter(pl.col("transfer") == 0.5).height == 1
    assert market.corporate_actions.filter(pl.col("bonus") == 0.3).height == 1


def test_the_same_seed_gives_the_same_market(market: Market, sessions: pl.Series) -> None:
    companies = load_universe("sample")
    again, other = generate(sessions, companies, sample.SEED), generate(sessions, companies, 8)
    for name in Market.__slots__:
        assert getattr(market, name).equals(getattr(again, name))
    assert not market.bars.equals(other.bars)


@pytest.mark.parametrize("push", PUSHES, ids=lambda push: push.note)
def test_no_price_moves_before_its_note_can_be_read(
    push: sample_market.Push, market: Market, sessions: pl.Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take the note's effect away: everything before the first open after it stays as it was, to the fen."""
    without = tuple(replace(p, gap=0.0, drift=0.0) if p is push else p for p in PUSHES)
    monkeypatch.setattr(sample_market, "PUSHES", without)
    other = generate(sessions, load_universe("sample"), sample.SEED)
    prices = pl.col("open", "high", "low", "close")
    both = market.bars.join(other.bars, on=["symbol", "date"], suffix="_without")
    moved = both.filter(
        pl.any_horizontal(pl.col(c) != pl.col(f"{c}_without") for c in market.bars.columns[2:6])
    )
    days = [d for d in sessions.to_list() if dt.datetime.combine(d, dt.time(9, 15)) > push.known_at]
    assert moved["date"].min() == days[0]
    before = pl.col("date") < days[0]
    assert market.bars.filter(before).select(prices).equals(other.bars.filter(before).select(prices))


def test_the_pushes_are_the_notes(market: Market) -> None:
    published = {}
    for path in sample.notes():
        front = path.read_text(encoding="utf-8").split("---\n")[1]
        fields = dict(line.split(": ", 1) for line in front.splitlines())
        assert set(fields) == {"title", "source", "speaker", "published_at"}
        assert "样本" in fields["title"]
        published[path.stem] = dt.datetime.fromisoformat(fields["published_at"])
    assert list(published.values()) == sorted(published.values())
    assert {p.note: p.known_at for p in PUSHES} == {n: t.replace(tzinfo=None) for n, t in published.items()}
    assert {t.utcoffset() for t in published.values()} == {dt.timedelta(hours=8)}


def test_the_notes_come_at_every_time_of_the_day(sessions: pl.Series) -> None:
    kinds = set()
    days = set(sessions.to_list())
    for push in PUSHES:
        if push.known_at.date() not in days:
            kinds.add("closed day")
        elif push.known_at.time() < dt.time(9, 15):
            kinds.add("before the open")
        else:
            kinds.add("in session" if push.known_at.time() < dt.time(15) else "after the close")
    assert kinds == {"closed day", "before the open", "in session", "after the close"}


@pytest.mark.realdata
def test_no_sentence_of_the_sample_notes_is_anothers(shared: Path) -> None:
    theirs = "".join(path.read_text(encoding="utf-8") for path in (shared / "notes").glob("*.txt"))
    for path in sample.notes():
        text = path.read_text(encoding="utf-8").replace("\n", "")
        run = 12
        shared_runs = [text[i : i + run] for i in range(len(text) - run) if text[i : i + run] in theirs]
        assert shared_runs == []


def test_the_companies_are_nobodys(market: Market) -> None:
    companies = load_universe("sample")
    assert companies["name"].str.starts_with("样本").all()
    assert companies["why"].str.starts_with("SAMPLE company").all()
    assert not set(companies["symbol"]) & set(load_universe("liquid_cooling")["symbol"])
    assert set(market.instruments["board"]) == {"sse_main", "szse_main", "chinext", "star"}
    assert market.name_history.filter(pl.col("name").str.starts_with("ST"))["symbol"].to_list() == [
        "605992.SH"
    ]


@pytest.mark.realdata
def test_no_real_stock_has_a_sample_code(shared: Path) -> None:
    real = pl.scan_parquet(shared / "data" / "market_qfq.parquet").select(pl.col("symbol").unique()).collect()
    assert not set(load_universe("sample")["symbol"]) & set(real["symbol"])


def test_a_sample_store_says_so_and_rejects_nothing(tmp_path: Path, market: Market) -> None:
    store = Store.create(tmp_path / "sample.duckdb", sample=True)
    sample.fill(store)
    assert Store.open(store.path).is_sample
    assert store.rejected().is_empty()
    assert store.basis() == "raw"
    assert store.bars().select(market.bars.columns).equals(market.bars)
    assert store.index_bars(["000300.SH"]).height == market.index_bars.height
    before = store.snapshot_id()
    sample.fill(store)
    assert store.snapshot_id() == before
    with pytest.raises(UsageError, match="real data"):
        sample.fill(Store.create(tmp_path / "real.duckdb"))
    with pytest.raises(UsageError, match="sample"):
        Store.create(store.path, sample=False)
