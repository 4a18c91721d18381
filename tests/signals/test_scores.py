"""Scores against the formula by hand and in plain Python, and nothing in them from the future."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_cache.errors import UnknownName, UsageError
from data_cache.schemas import Events
from signals.clock import SHANGHAI
from signals.scoring import CERTAINTY_WEIGHTS, HORIZON, contributions, news, scores, weights

SESSIONS = [d for n in range(420) if (d := dt.date(2024, 1, 1) + dt.timedelta(n)).weekday() < 5]
CALENDAR = pl.Series(SESSIONS)
UNIVERSE = pl.DataFrame(
    {
        "symbol": ["000001.SZ", "000002.SZ", "000003.SZ"],
        "segment": ["full_chain", "cdu", "server_switch"],
        "exposure": [1.0, 0.5, 0.2],
    }
)
COOLING = {"cold_plate", "cdu", "connector", "manifold_piping", "coolant", "room_cooling"}
TABLE = {row["kind"]: row for row in weights().to_dicts()}


def event(name: str, at: dt.datetime, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": name, "kind": "asic_adoption", "subject": None, "polarity": 1, "strength": 0.5,
        "certainty": "fact", "occurred_on": None, "known_at": at, "symbols": [], "segments": [], "magnitudes": [],
        "source": "test", "title": None, "span_start": None, "span_end": None, "extractor": "test",
        "ingested_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), **fields,
    }  # fmt: skip


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=Events.create_empty().schema)


def close_of(session: int) -> dt.datetime:
    return dt.datetime.combine(SESSIONS[session], dt.time(15), SHANGHAI)


def at(table: pl.DataFrame, session: int, symbol: str = "000001.SZ", column: str = "score") -> float:
    found = table.filter(pl.col("date") == SESSIONS[session], pl.col("symbol") == symbol)
    return float(found[column].sum())


def all_scores(events: pl.DataFrame) -> pl.DataFrame:
    return scores(events, CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[-2])


def test_the_formula_by_hand() -> None:
    # asic_adoption: weight 0.8, half-life 20 sessions; a forecast counts 0.6; exposure 0.5
    got = all_scores(frame(event("a", close_of(10), certainty="forecast")))
    assert (TABLE["asic_adoption"]["weight"], TABLE["asic_adoption"]["half_life_sessions"]) == (0.8, 20)
    assert at(got, 9) == 0
    assert at(got, 10, "000002.SZ") == pytest.approx(0.8 * 0.6 * 0.5)
    assert at(got, 15, "000002.SZ") == pytest.approx(0.8 * 0.6 * 0.5 * 0.5**0.25)


@pytest.mark.parametrize("kind", ["asic_adoption", "rate_hike", "recommendation"])
def test_half_is_left_at_the_half_life_and_nothing_after_the_horizon(kind: str) -> None:
    half = TABLE[kind]["half_life_sessions"]
    calendar = pl.Series(
        [d for n in range(1500) if (d := dt.date(2020, 1, 1) + dt.timedelta(n)).weekday() < 5]
    )
    moment = dt.datetime.combine(calendar[0], dt.time(15), SHANGHAI)
    got = scores(
        frame(event("a", moment, kind=kind)), calendar, UNIVERSE, start=calendar[0], end=calendar[-1]
    ).filter(pl.col("symbol") == "000001.SZ")
    values = dict(zip(got["date"], got["score"], strict=True))
    assert values[calendar[half]] == pytest.approx(values[calendar[0]] / 2)
    assert values[calendar[HORIZON * half - 1]] > 0
    assert calendar[HORIZON * half] not in values


@pytest.mark.parametrize(
    ("names", "reached"),
    [
        ({}, {"000001.SZ": 1.0, "000002.SZ": 0.5, "000003.SZ": 0.2}),
        ({"symbols": ["000003.SZ"]}, {"000003.SZ": 1.0}),
        ({"segments": ["cdu"]}, {"000001.SZ": 1.0, "000002.SZ": 0.5}),
        ({"segments": ["cold_plate"]}, {"000001.SZ": 1.0}),
        ({"symbols": ["000002.SZ"], "segments": ["server_switch"]},
         {"000002.SZ": 1.0, "000003.SZ": 0.2}),
        ({"segments": ["optical_module"]}, {}),  # the full chain of cooling makes no optics
        ({"segments": ["chip", "coolant"]}, {"000001.SZ": 1.0}),
        ({"symbols": ["999999.SZ"]}, {}),
    ],
)  # fmt: skip
def test_who_is_reached_and_how_much(names: dict[str, list[str]], reached: dict[str, float]) -> None:
    got = contributions(
        frame(event("a", close_of(3), **names)), CALENDAR, UNIVERSE, start=SESSIONS[3], end=SESSIONS[3]
    )
    assert dict(zip(got["symbol"], got["exposure"], strict=True)) == reached


def test_news_is_the_first_session_alone() -> None:
    events = frame(event("a", close_of(3)), event("b", close_of(5), polarity=-1), event("c", close_of(5)))
    got = news(events, CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[20])
    assert at(got, 3) == pytest.approx(0.8)
    assert at(got, 4) == 0
    assert at(got, 5) == pytest.approx(0.0)
    assert set(got["date"]) == {SESSIONS[3], SESSIONS[5]}


def test_what_happened_long_before_it_was_told_is_no_news() -> None:
    told = close_of(100)
    assert TABLE["rack_delay"]["stale_after_days"] == 180
    for days, push in ((180, -0.8), (181, 0.0), (0, -0.8), (-400, -0.8)):
        row = event(
            "a", told, kind="rack_delay", polarity=-1, occurred_on=told.date() - dt.timedelta(days=days)
        )
        assert at(all_scores(frame(row)), 100) == pytest.approx(push), days
    # a year's earnings are told months after the year began: no bound
    year = event("a", told, kind="earnings", occurred_on=told.date() - dt.timedelta(days=600))
    assert at(all_scores(frame(year)), 100) == pytest.approx(0.6)


def test_an_event_before_the_first_date_asked_still_counts() -> None:
    events = frame(event("a", close_of(3)))
    part = scores(events, CALENDAR, UNIVERSE, start=SESSIONS[8], end=SESSIONS[9])
    whole = all_scores(events).filter(pl.col("date").is_in([SESSIONS[8], SESSIONS[9]]))
    assert part.equals(whole)
    assert part.height == 6


def test_weekend_news_counts_the_same_whatever_the_last_date_asked() -> None:
    friday = next(i for i, d in enumerate(SESSIONS) if d.weekday() == 4)
    saturday = dt.datetime.combine(SESSIONS[friday] + dt.timedelta(1), dt.time(12), SHANGHAI)
    events = frame(event("a", saturday))
    short = scores(events, CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[friday])
    longer = scores(events, CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[friday + 1])
    assert at(short, friday) == at(longer, friday) == pytest.approx(0.8)


def test_an_unknown_kind_is_refused_not_dropped() -> None:
    with pytest.raises(UnknownName, match="did you mean 'rack_delay'"):
        all_scores(frame(event("a", close_of(3), kind="rack_delays")))


def test_dates_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError, match="is after end"):
        scores(frame(), CALENDAR, UNIVERSE, start=SESSIONS[3], end=SESSIONS[2])
    with pytest.raises(UsageError, match="start is 'soon'"):
        scores(frame(), CALENDAR, UNIVERSE, start="soon", end=SESSIONS[2])


def test_no_events_no_scores() -> None:
    assert all_scores(frame()).shape == (0, 4)
    assert contributions(frame(), CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[5]).height == 0


def test_the_table_is_complete_and_argues_from_no_return() -> None:
    table = weights()
    assert table["weight"].is_between(0, 1).all()
    assert (table["half_life_sessions"] > 0).all()
    assert (
        not table["why"]
        .str.to_lowercase()
        .str.contains(r"\breturns?\b|outperform|backtest|sharpe|share price")
        .any()
    )
    assert table["why"].str.len_chars().min() >= 20


EVENTS = st.lists(
    st.builds(
        lambda session, minute, kind, polarity, certainty, symbols, segments, occurred: {
            "known_at": dt.datetime.combine(SESSIONS[session], dt.time(minute // 60, minute % 60), SHANGHAI),
            "kind": kind, "polarity": polarity, "certainty": certainty, "symbols": symbols, "segments": segments,
            "occurred_on": None if occurred is None else SESSIONS[session] - dt.timedelta(occurred),
        },
        st.integers(1, 120), st.integers(0, 1439), st.sampled_from(["asic_adoption", "earnings", "rate_hike"]),
        st.sampled_from([-1, 0, 1]), st.sampled_from(sorted(CERTAINTY_WEIGHTS)),
        st.lists(st.sampled_from(UNIVERSE["symbol"].to_list()), max_size=2),
        st.lists(st.sampled_from(["cdu", "server_switch"]), max_size=2),
        st.sampled_from([None, 0, 180, 181, 400]),
    ),
    max_size=8,
)  # fmt: skip


def built(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return frame(*(event(f"e{i}", r["known_at"], **{k: v for k, v in r.items() if k != "known_at"})
                   for i, r in enumerate(rows)))  # fmt: skip


@settings(max_examples=25)
@given(EVENTS)
def test_agrees_with_the_formula_in_plain_python(rows: list[dict[str, Any]]) -> None:
    got = {
        (d, s, k): v
        for d, s, k, v in scores(
            built(rows), CALENDAR, UNIVERSE, start=SESSIONS[60], end=SESSIONS[100]
        ).iter_rows()
    }
    expected: dict[tuple[dt.date, str, str], float] = {}
    for row in rows:
        decided = max(
            i
            for i, s in enumerate(SESSIONS)
            if dt.datetime.combine(s, dt.time(9, 15), SHANGHAI) <= row["known_at"]
        )
        kind = TABLE[row["kind"]]
        for symbol, segment, exposure in UNIVERSE.iter_rows():
            if symbol in row["symbols"]:
                reach = 1.0
            elif segment in row["segments"] or (segment == "full_chain" and COOLING & set(row["segments"])):
                reach = exposure
            else:
                reach = exposure if not row["symbols"] and not row["segments"] else 0.0
            if reach == 0:
                continue
            for session in range(60, 101):
                age = session - decided
                told_late = (
                    row["occurred_on"] is not None
                    and kind["stale_after_days"] is not None
                    and (row["known_at"].date() - row["occurred_on"]).days > kind["stale_after_days"]
                )
                if 0 <= age < HORIZON * kind["half_life_sessions"]:
                    key = (SESSIONS[session], symbol, row["kind"])
                    expected[key] = expected.get(key, 0.0) + (
                        (0 if told_late else row["polarity"])
                        * kind["weight"] * CERTAINTY_WEIGHTS[row["certainty"]] * reach
                        * 0.5 ** (age / kind["half_life_sessions"])
                    )  # fmt: skip
    assert got.keys() == expected.keys()
    assert got == pytest.approx(expected)


@settings(max_examples=25)
@given(EVENTS, st.integers(0, 2**16))
def test_contributions_sum_to_the_score_and_order_is_irrelevant(
    rows: list[dict[str, Any]], seed: int
) -> None:
    events = built(rows)
    span = {"start": SESSIONS[0], "end": SESSIONS[100]}
    whole = scores(events, CALENDAR, UNIVERSE, **span)
    parts = contributions(events, CALENDAR, UNIVERSE, **span)
    summed = (
        parts.group_by("date", "symbol", "kind").agg(pl.col("score").sum()).sort("date", "symbol", "kind")
    )
    assert summed.select("date", "symbol", "kind").equals(whole.select("date", "symbol", "kind"))
    assert summed["score"].to_list() == pytest.approx(whole["score"].to_list(), abs=1e-12)
    shuffled = scores(
        events.sample(fraction=1, shuffle=True, seed=seed),
        CALENDAR.sample(fraction=1, shuffle=True, seed=seed),
        UNIVERSE.sample(fraction=1, shuffle=True, seed=seed),
        **span,
    )
    assert shuffled.equals(whole)
    assert parts.filter("fresh")["score"].to_list() == pytest.approx(
        parts.filter("fresh")["weight"].to_list()
    )


@settings(max_examples=25)
@given(EVENTS, st.integers(20, 100))
def test_later_events_change_no_earlier_score(rows: list[dict[str, Any]], cut: int) -> None:
    events = built(rows)
    # what the decision of SESSIONS[cut] may know: everything before 09:15 of the next session
    known = events.filter(
        pl.col("known_at") < dt.datetime.combine(SESSIONS[cut + 1], dt.time(9, 15), SHANGHAI)
    )
    full = scores(events, CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[120])
    then = scores(known, CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[120])
    until = pl.col("date") <= SESSIONS[cut]
    assert full.filter(until).equals(then.filter(until))
    short = scores(events, CALENDAR, UNIVERSE, start=SESSIONS[0], end=SESSIONS[cut])
    assert short.equals(then.filter(until))
