"""From events to scores: how hard what is known by a session pushes each symbol, and which event does it.

1. ``_dated``      each event's decision date, and its push: polarity x type weight x certainty weight, 0
                   where it only recalls what is long past
2. ``_reach``      which symbols it touches, and how much (``exposure``)
3. ``_decayed``    the push on each session from the decision date on, halved every half-life
4. ``_spread``     the sum over events by (date, symbol, kind)

``scores`` is the sum, ``contributions`` the same before summing, ``news`` the first session of each event.

``score = Σ polarity × type weight × certainty weight × exposure × 0.5^(sessions since / half-life)``, over
the events whose decision date is the date or earlier. An event counts for 8 half-lives (then 1/256 of its
push is left) and not after: that bounds the work and what one old event can do.

A note that recalls last year's delay tells no news: an event that happened more than ``stale_after_days``
before it became known pushes nothing. The bound is empty for kinds that describe a level or a period (a market's
size, a year's earnings), and half a year for those that happen on a day.

The type weights, half-lives and bounds are ``data/weights.csv``, with the reason for each. They were written from
reasoning about orders, budgets and time alone, before any price was looked at, and are not to be tuned on
returns: a table fitted to the past would make every backtest on it worthless. The ``strength`` an event
carries is a copy of its type weight for reading; the table decides here. The certainty weights below are of
the same kind: a fact counts in full; a forecast comes true more often than not, but late; an opinion is
evidence of belief; a conditional needs two things to happen.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from importlib.resources import files

import polars as pl

from data_cache.calendar import as_day
from data_cache.errors import UnknownName, UsageError
from data_cache.universe import COOLING
from signals.clock import decided_by

__all__ = ["CERTAINTY_WEIGHTS", "HORIZON", "Scores", "contributions", "news", "scores", "weights"]

CERTAINTY_WEIGHTS = {"fact": 1.0, "forecast": 0.6, "opinion": 0.4, "conditional": 0.25}
HORIZON = 8
"""Half-lives after which an event no longer counts."""

Scores = {"date": pl.Date, "symbol": pl.String, "kind": pl.String, "score": pl.Float64}
"""The columns of ``scores``."""


@cache
def weights() -> pl.DataFrame:
    """The table of kinds.

    Returns:
        kind, weight (0 to 1), half_life_sessions (trading sessions), stale_after_days (calendar days from
        happening to becoming known after which it is no news; null: never stale), why.
    """
    text = files("signals").joinpath("data", "weights.csv").read_bytes()
    numbers = {"weight": pl.Float64, "half_life_sessions": pl.Int64, "stale_after_days": pl.Int64}
    return pl.read_csv(text, schema_overrides=numbers)


def scores(
    events: pl.DataFrame,
    calendar: pl.Series,
    universe: pl.DataFrame,
    *,
    start: dt.date | str,
    end: dt.date | str,
) -> pl.DataFrame:
    """The push of everything known by each session on each symbol, by kind.

    Args:
        events: Events, in any order, each told once (``novelty.first_told`` leaves repetitions out); those first
            tradable after ``end`` are not looked at.
        calendar: sessions, reaching back to the first event, and a session past ``end`` where news of a
            weekend after it is to count.
        universe: symbol, segment, exposure (0 to 1).
        start: first date to give, inclusive.
        end: last date to give, inclusive.

    Returns:
        date, symbol, kind, score; sorted; only where some event counts. A polarity of 0 gives a score of 0.

    Raises:
        UnknownName: an event's kind or certainty is not in the tables.
        UsageError: the calendar does not reach an event or ``end``.
    """
    return _spread(_decayed(events, calendar, start=start, end=end), universe)


def news(
    events: pl.DataFrame,
    calendar: pl.Series,
    universe: pl.DataFrame,
    *,
    start: dt.date | str,
    end: dt.date | str,
) -> pl.DataFrame:
    """``scores`` of what is new on each date alone: the events whose decision date it is, undecayed.

    Args, returns and raises are those of ``scores``.
    """
    decayed = _decayed(events, calendar, start=start, end=end)
    return _spread(decayed.filter(pl.col("age") == 0), universe)


def contributions(
    events: pl.DataFrame,
    calendar: pl.Series,
    universe: pl.DataFrame,
    *,
    start: dt.date | str,
    end: dt.date | str,
) -> pl.DataFrame:
    """``scores`` taken apart: one row for each event that counts on a date for a symbol.

    Args and raises are those of ``scores``.

    Returns:
        date, symbol, kind, event_id, score (this event's part; they sum to the score), weight (the same on
        its decision date, undecayed), exposure, decision_date, age (sessions since), fresh (age is 0);
        sorted by the first four.
    """
    decayed = _decayed(events, calendar, start=start, end=end)
    return (
        decayed.join(_reach(decayed, universe), on=["symbols", "segments"])
        .select(
            "date",
            "symbol",
            "kind",
            "event_id",
            score=pl.col("push") * pl.col("exposure"),
            weight=pl.col("push0") * pl.col("exposure"),
            exposure="exposure",
            decision_date="decision_date",
            age="age",
            fresh=pl.col("age") == 0,
        )
        .sort("date", "symbol", "kind", "event_id")
    )


def _dated(events: pl.DataFrame, sessions: pl.Series, end: dt.date) -> pl.DataFrame:
    """Events of decisions up to ``end``, with ``decision_date``, undecayed ``push0`` and ``half_life``."""
    known = decided_by(events, sessions, end).sort("event_id")
    known_on = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date()
    _refuse_unknown("event kind", known["kind"], weights()["kind"].to_list())
    _refuse_unknown("certainty", known["certainty"], list(CERTAINTY_WEIGHTS))
    return (
        known.select(
            "event_id",
            "kind",
            pl.col("polarity").cast(pl.Float64),
            pl.col("certainty").replace_strict(CERTAINTY_WEIGHTS, return_dtype=pl.Float64),
            _key("symbols"),
            _key("segments"),
            "decision_date",
            days=(known_on - pl.col("occurred_on")).dt.total_days(),
        )
        .join(weights(), on="kind", maintain_order="left")
        .with_columns(
            push0=pl.when((pl.col("days") > pl.col("stale_after_days")).fill_null(value=False))
            .then(0.0)
            .otherwise(pl.col("polarity") * pl.col("weight") * pl.col("certainty")),
            half_life="half_life_sessions",
        )
    )


def _decayed(
    events: pl.DataFrame, calendar: pl.Series, *, start: dt.date | str, end: dt.date | str
) -> pl.DataFrame:
    """One row for each event and each date in [start, end] on which it counts, with ``age`` and ``push``."""
    first, last = as_day("start", start), as_day("end", end)
    if first > last:
        raise UsageError(f"start {first} is after end {last}; give them in order")
    sessions = calendar.drop_nulls().unique().sort()
    numbered = pl.DataFrame({"date": sessions}).with_row_index("session").cast({"session": pl.Int64})
    dated = _dated(events, sessions, last).join(
        numbered.rename({"date": "decision_date", "session": "decided"}),
        on="decision_date",
        maintain_order="left",
    )
    wanted = numbered.filter(pl.col("date").is_between(first, last))["session"]
    low, high = (wanted.item(0), wanted.item(-1)) if wanted.len() else (0, -1)
    # an event's sessions are one stretch of the calendar, [decided, decided + horizon), cut to those asked
    stretch = pl.int_ranges(
        pl.max_horizontal("decided", pl.lit(low)),
        pl.min_horizontal(pl.col("decided") + HORIZON * pl.col("half_life"), pl.lit(high + 1)),
    )
    return (
        dated.with_columns(session=stretch)
        .explode("session", empty_as_null=False)
        .join(numbered, on="session", maintain_order="left")
        .with_columns(age=pl.col("session") - pl.col("decided"))
        .join(_left_over(), on=["half_life", "age"], maintain_order="left")
        .with_columns(push=pl.col("push0") * pl.col("left_over"))
    )


@cache
def _left_over() -> pl.DataFrame:
    """half_life, age, left_over: the fraction of a push that is left at each age.

    A table, because a vectorised power may differ in the last bit with a value's place in its column, and then
    an event added later would change scores before it.
    """
    rows = [
        (half, age, 0.5 ** (age / half))
        for half in sorted(set(weights()["half_life_sessions"]))
        for age in range(HORIZON * half)
    ]
    schema = {"half_life": pl.Int64, "age": pl.Int64, "left_over": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _spread(decayed: pl.DataFrame, universe: pl.DataFrame) -> pl.DataFrame:
    """Pushes summed by (date, symbol, kind)."""
    # events that reach the same symbols are summed before they are spread over them: a macro event among
    # thousands of symbols then costs one series, not thousands
    by_reach = decayed.group_by("date", "kind", "symbols", "segments", maintain_order=True).agg(
        pl.col("push").sum()
    )
    return (
        by_reach.join(_reach(by_reach, universe), on=["symbols", "segments"], maintain_order="left_right")
        .group_by("date", "symbol", "kind", maintain_order=True)
        .agg(score=(pl.col("push") * pl.col("exposure")).sum())
        .select(pl.col(name).cast(dtype) for name, dtype in Scores.items())
        .sort("date", "symbol", "kind")
    )


def _reach(patterns: pl.DataFrame, universe: pl.DataFrame) -> pl.DataFrame:
    """For each pair of ``symbols`` and ``segments``: symbol and exposure of those the event touches.

    1 where it names the symbol; the symbol's exposure where it names the symbol's segment (a full-chain
    company makes every cooling link, not chips or optics); the symbol's exposure where it names nobody.
    """
    named = pl.col("symbols").str.split(";").list.contains(pl.col("symbol"))
    segment = pl.col("segments").str.split(";").list.contains(pl.col("segment"))
    cooling = pl.col("segments").str.split(";").list.eval(pl.element().is_in(COOLING)).list.any()
    linked = (pl.col("segments") != "") & (segment | (cooling & (pl.col("segment") == "full_chain")))
    everyone = (pl.col("symbols") == "") & (pl.col("segments") == "")
    return (
        patterns.select("symbols", "segments")
        .unique(maintain_order=True)
        .join(universe.select("symbol", "segment", "exposure").sort("symbol"), how="cross")
        .with_columns(
            exposure=pl.when(named).then(1.0).when(linked | everyone).then("exposure").otherwise(0.0)
        )
        .filter(pl.col("exposure") > 0)
        .select("symbols", "segments", "symbol", "exposure")
    )


def _key(column: str) -> pl.Expr:
    """A list of names as one text, so that it can be grouped and joined on."""
    return pl.col(column).list.unique().list.sort().list.join(";").fill_null("").alias(column)


def _refuse_unknown(what: str, given: pl.Series, known: list[str]) -> None:
    strange = given.filter(~given.is_in(known) | given.is_null()).unique().sort()
    if strange.len():
        raise UnknownName(what, str(strange.item(0)), known)
