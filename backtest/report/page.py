"""A ``Comparison`` as one self-contained HTML page.

The figures are drawn by ``charts``; this module shapes the tables and fills the template. Nothing is computed
here that the comparison does not already hold: a page cannot say more than its frames.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import polars as pl

from backtest.report import charts
from signals.clock import decision_dates

if TYPE_CHECKING:
    from backtest.comparison import Comparison

__all__ = ["render"]

MAX_FILLS = 400
"""Fills shown per strategy; the largest by notional where there are more, and the page says so."""

REASONS = {
    "limit_up": "opened at the upper limit: nobody sells",
    "limit_down": "opened at the lower limit: nobody buys",
    "suspended": "suspended that session",
    "not_listed": "not listed yet",
    "delisted": "no longer listed",
    "t_plus_1": "bought the same day (T+1)",
    "lot": "less than one lot",
    "cash": "cut for want of cash",
    "volume_cap": "more than the cap on the day's volume",
}


def render(comparison: Comparison) -> str:
    """The whole page as text; every string from data is escaped by the template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("backtest.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"yuan": _yuan, "pct": _pct, "num": _num, "when": _when}
    inputs = comparison.inputs
    events = comparison.events.with_columns(
        decision_dates(comparison.events["known_at"], inputs.calendar).alias("decision_date")
    )
    first = next(iter(comparison.results.values()))
    return environment.get_template("comparison.html.j2").render(
        title="SAMPLE comparison" if inputs.sample else "Comparison",
        sample=inputs.sample,
        inputs=inputs,
        cash=first.card.cash,
        execution=first.card.execution,
        caveats=comparison.caveats,
        verdict=_verdict(comparison),
        rows=comparison.table.to_dicts(),
        benchmark=comparison.benchmark_symbol,
        known_at=comparison.known_at_sensitivity.to_dicts(),
        overfitting=comparison.overfitting,
        plotly=charts.library(),
        curves=charts.curves(comparison, events),
        costs=charts.costs(comparison),
        refused=charts.refused(comparison),
        refusals=[
            {"strategy": name, **row}
            for name, result in comparison.results.items()
            for row in result.refusals.to_dicts()
        ],
        reasons=REASONS,
        events=events.to_dicts(),
        trades=[_trades(comparison, name) for name in comparison.results],
        strategies=[
            {"name": name, "claim": _claim(r.strategy), "parameters": r.card.parameters}
            for name, r in comparison.results.items()
        ],
        cards={n: json.dumps(r.card.as_dict(), indent=2, default=str) for n, r in comparison.results.items()},
        colours=charts.colours(comparison),
        created_at=comparison.created_at,
        version=first.card.version,
    )


def _verdict(comparison: Comparison) -> dict[str, Any]:
    """The few facts a reader wants before any table."""
    rows = comparison.table.filter(pl.col("sharpe").is_not_null() | pl.col("fills").is_not_null())
    own = rows.filter(pl.col("strategy").is_in(list(comparison.results))).sort("final_value", descending=True)
    benchmark = pl.lit(comparison.benchmark_symbol, dtype=pl.String)  # null where there is none
    index = comparison.table.filter(pl.col("strategy") == benchmark).to_dicts()
    opponents = own.filter(pl.col("strategy").is_in(["buy-and-hold", "momentum"])).to_dicts()
    return {"best": own.row(0, named=True), "index": index[0] if index else None, "opponents": opponents}


def _trades(comparison: Comparison, name: str) -> dict[str, Any]:
    result = comparison.results[name]
    fills = result.fills.with_row_index("fill")
    shown = fills if fills.height <= MAX_FILLS else fills.sort("notional", descending=True).head(MAX_FILLS)
    behind = (
        comparison.attribution[name]
        .group_by("fill", maintain_order=True)
        .agg(pl.struct("event_id", "kind", "score", "fresh").head(3).alias("behind"), pl.len().alias("count"))
    )
    names = comparison.inputs.universe.select("symbol", "name")
    return {
        "name": name,
        "total": fills.height,
        "rows": shown.join(behind, on="fill", how="left")
        .join(names, on="symbol", how="left")
        .sort("date", "fill", descending=[True, False])
        .to_dicts(),
    }


def _claim(strategy: Any) -> str:
    text = (type(strategy).__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split())


def _yuan(value: float | None) -> str:
    return "" if value is None else f"¥{value:,.0f}"


def _pct(value: float | None) -> str:
    return "" if value is None or value != value else f"{value * 100:,.1f} %"


def _num(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:,.2f}"


def _when(value: dt.datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M")
