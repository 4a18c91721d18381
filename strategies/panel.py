"""The panel: all a strategy may look at, one row a session and symbol, nothing in it later than its date.

1. ``_grid``         the sessions asked for, from each symbol's first bar on
2. ``_prices``       adjusted bars laid on it; the close carried over suspended sessions
3. ``_value_share``  what notes known by then say each link of the chain is worth
4. ``signals``       ``score_KIND`` and ``new_KIND`` columns from ``signals.scoring``
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import polars as pl

from data_cache.calendar import as_day
from data_cache.errors import NoData, UnknownName, UsageError
from data_cache.universe import load_universe, members
from signals.clock import decided_by
from signals.novelty import first_told
from signals.scoring import news, scores, weights

if TYPE_CHECKING:
    from data_cache.store import Store

__all__ = ["WARMUP", "build_panel", "panel_from_frames"]

WARMUP = 250
"""Sessions before ``start`` the panel begins with, so that look-backs and holding periods have a past."""
_PRICES = ("open", "high", "low", "close")


def build_panel(
    store: Store,
    *,
    start: dt.date | str,
    end: dt.date | str,
    kinds: Sequence[str],
    universe: str = "liquid_cooling",
    symbols: Collection[str] | None = None,
    warmup: int = WARMUP,
    events: pl.DataFrame | None = None,
    bars: pl.DataFrame | None = None,
) -> pl.LazyFrame:
    """The panel of a stored market.

    Args:
        store: an open store.
        start: first date a strategy may decide on, inclusive.
        end: last date, inclusive.
        kinds: event kinds wanted as ``score_KIND`` and ``new_KIND``.
        universe: name of a table of ``data_cache.universe``.
        symbols: only these of the universe; None for all; one text alone is one symbol.
        warmup: sessions before ``start`` to begin with.
        events: in place of the first tellings of the stored ones (``signals.novelty``).
        bars: ``store.bars`` of these symbols, where they are in hand already.

    Returns:
        The columns of docs/design.md, sorted by date and symbol. Symbols without bars have no rows.

    Raises:
        NoData: no bar of any of the symbols by ``end``.
        UnknownName: a kind or universe that does not exist.
        UnknownSymbol: one of ``symbols`` that is not in the universe.
        UsageError: a date that is none, dates reversed, ``kinds`` one text.
    """
    table = load_universe(universe)
    if symbols is not None:
        table = table.filter(pl.col("symbol").is_in(members(symbols, table, universe)))
    last = as_day("end", end)
    held = sorted(set(table["symbol"]) & set(store.symbols()))
    if bars is None:
        bars = store.bars(held, end=last) if held else pl.DataFrame()
    if bars.is_empty():
        raise NoData(
            f"{store.path} has no bars by {last} of the {table.height} symbols asked for; run `ashare refresh` or "
            f"`ashare import FILE`"
        )
    return panel_from_frames(
        bars,
        store.factors(held) if bars["basis"][0] == "raw" else None,
        store.calendar(),
        first_told(store.events(kinds=[*kinds, "value_share"])) if events is None else events,
        table,
        kinds=kinds,
        start=start,
        end=last,
        warmup=warmup,
    )


def panel_from_frames(
    bars: pl.DataFrame,
    factors: pl.DataFrame | None,
    calendar: pl.Series,
    events: pl.DataFrame,
    universe: pl.DataFrame,
    *,
    kinds: Sequence[str],
    start: dt.date | str,
    end: dt.date | str,
    warmup: int = WARMUP,
) -> pl.LazyFrame:
    """``build_panel`` from frames alone.

    Args:
        bars: Bars, in any order; those after ``end`` are not looked at.
        factors: Factors to adjust them by, or None where they are adjusted already.
        calendar: sessions.
        events: Events; other kinds than ``kinds`` and ``value_share`` are not looked at.
        universe: symbol, name, segment, exposure.
        kinds: as for ``build_panel``.
        start: as for ``build_panel``.
        end: as for ``build_panel``.
        warmup: as for ``build_panel``.
    """
    if isinstance(kinds, str):
        raise UsageError(f"kinds is {kinds!r}; needs a tuple: ({kinds!r},)")
    known_kinds = weights()["kind"].to_list()
    for kind in kinds:
        if kind not in known_kinds:
            raise UnknownName("event kind", kind, known_kinds)
    first, last = as_day("start", start), as_day("end", end)
    if first > last:
        raise UsageError(f"start {first} is after end {last}; give them in order")
    sessions = calendar.drop_nulls().unique().sort().rename("date")
    before = int((sessions < first).sum())
    window = sessions.slice(max(0, before - warmup))
    window = window.filter(window <= last)
    members = universe.select("symbol", "name", "segment", "exposure").unique("symbol", keep="first")
    panel = _prices(_grid(bars, window, members), bars, factors).with_columns(active=pl.col("date") >= first)
    if window.is_empty():
        return _with_kinds(panel.with_columns(value_share=pl.lit(None, pl.Float64)), kinds, {}).lazy()
    shares = _value_share(events.filter(pl.col("kind") == "value_share"), sessions, window)
    panel = panel.join(shares, on=["date", "segment"], how="left", maintain_order="left")
    asked = events.filter(pl.col("kind").is_in(list(kinds)))
    tables = {
        "score": scores(asked, sessions, members, start=window[0], end=last),
        "new": news(asked, sessions, members, start=window[0], end=last),
    }
    return _with_kinds(panel, kinds, tables).sort("date", "symbol").lazy()


def _grid(bars: pl.DataFrame, window: pl.Series, members: pl.DataFrame) -> pl.DataFrame:
    listed = bars.group_by("symbol").agg(first=pl.col("date").min())
    return (
        members.join(listed, on="symbol")
        .join(window.to_frame("date"), how="cross")
        .filter(pl.col("date") >= pl.col("first"))
        .drop("first")
        .sort("symbol", "date")
    )


def _prices(grid: pl.DataFrame, bars: pl.DataFrame, factors: pl.DataFrame | None) -> pl.DataFrame:
    adjusted = bars.select("symbol", "date", *_PRICES, "volume", "amount").sort("symbol", "date")
    if factors is not None:
        adjusted = (
            adjusted.sort("date")
            .join_asof(
                factors.select("symbol", "date", "factor").sort("date"),
                on="date",
                by="symbol",
                check_sortedness=False,
            )
            # before its first factor a share is unadjusted: 1.0 at listing
            .with_columns(pl.col(*_PRICES) * pl.col("factor").fill_null(1.0))
            .drop("factor")
        )
    closes = adjusted.select("symbol", "date", carried="close").sort("date")
    return (
        grid.join(adjusted, on=["symbol", "date"], how="left")
        .sort("date")
        .join_asof(closes, on="date", by="symbol", check_sortedness=False)
        .with_columns(close="carried", traded=pl.col("volume").is_not_null())
        .select(
            *("date", "symbol", *_PRICES, "volume", "amount", "traded", "name", "segment", "exposure"),
        )
        .sort("date", "symbol")
    )


def _value_share(told: pl.DataFrame, sessions: pl.Series, window: pl.Series) -> pl.DataFrame:
    """date, segment, value_share: the last share told of each segment by each session, a fraction.

    A share told of several segments together is split evenly among them; several told for one decision are
    averaged; of a range the middle counts, of a lost bound the other. The full chain is the sum of its links.
    """
    dated = (
        decided_by(told, sessions, window[-1])
        .explode("magnitudes", empty_as_null=False)
        .unnest("magnitudes")
        .filter(pl.col("quantity").is_in(["share", "value_share", "fraction"]), pl.col("unit") == "fraction")
        .with_columns(share=pl.mean_horizontal("low", "high") / pl.col("segments").list.len())
        .explode("segments", empty_as_null=False)
        .filter(pl.col("share").is_between(0, 1, closed="right"), pl.col("segments") != "full_chain")
        .group_by("decision_date", segment="segments")
        .agg(value_share=pl.col("share").sort().mean())
        .sort("decision_date", "segment")
    )
    links = dated["segment"].unique().sort().to_frame()
    known = (
        links.join(window.to_frame("date"), how="cross")
        .sort("date")
        .join_asof(dated, left_on="date", right_on="decision_date", by="segment", check_sortedness=False)
        .select("date", "segment", "value_share")
        .drop_nulls("value_share")
        .sort("date", "segment")
    )
    whole = known.group_by("date", maintain_order=True).agg(
        segment=pl.lit("full_chain"), value_share=pl.col("value_share").sum().clip(upper_bound=1.0)
    )
    return pl.concat([known, whole])


def _with_kinds(panel: pl.DataFrame, kinds: Sequence[str], tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """``panel`` with ``PREFIX_KIND`` columns, 0.0 where nothing is known."""
    for prefix in ("score", "new"):
        for kind in dict.fromkeys(kinds):
            name = f"{prefix}_{kind}"
            if prefix not in tables:
                panel = panel.with_columns(pl.lit(0.0).alias(name))
                continue
            column = (
                tables[prefix].filter(pl.col("kind") == kind).select("date", "symbol", score=pl.col("score"))
            )
            panel = panel.join(
                column.rename({"score": name}), on=["date", "symbol"], how="left", maintain_order="left"
            ).with_columns(pl.col(name).fill_null(0.0))
    return panel
