"""The page's three drawings, as plotly HTML fragments that share one inlined copy of plotly.js."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from backtest import statistics as st

if TYPE_CHECKING:
    from backtest.comparison import Comparison

__all__ = ["colours", "costs", "curves", "library", "refused"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5AA8", "#8C6D31", "#444444")
"""Okabe and Ito's colours, told apart by colour-blind readers too, and three more."""
INDEX_COLOUR = "#888888"
ABOVE = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans CJK SC', sans-serif"


def library() -> str:
    """plotly.js itself: the page must open without a network."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def colours(comparison: Comparison) -> dict[str, str]:
    """Label → colour, the same in every drawing and table."""
    names = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(comparison.results)}
    return names | ({comparison.benchmark_symbol: INDEX_COLOUR} if comparison.benchmark_symbol else {})


def curves(comparison: Comparison, events: pl.DataFrame) -> str:
    """Account values, drawdowns, and the events behind trades on their decision dates."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.03, row_heights=[0.62, 0.24, 0.14]
    )
    paint = colours(comparison)
    series: list[tuple[str, pl.DataFrame]] = [(n, r.equity) for n, r in comparison.results.items()]
    if comparison.benchmark_symbol:
        series.append((comparison.benchmark_symbol, comparison.benchmark))
    for name, frame in series:
        dates, values = frame["date"].to_list(), frame["value"].to_numpy()
        line = {"color": paint[name], "width": 1.6}
        if name == comparison.benchmark_symbol:
            line |= {"dash": "dot"}
        figure.add_trace(
            go.Scatter(x=dates, y=(values / values[0]).round(4).tolist(), name=name, line=line, legendgroup=name,
                       hovertemplate="%{y:.3f}"),
            row=1, col=1,
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(x=dates, y=(st.drawdowns(values) * 100).round(2).tolist(), name=name, legendgroup=name,
                       line=line | {"width": 1}, showlegend=False, hovertemplate="%{y:.1f} %"),
            row=2, col=1,
        )  # fmt: skip
    for polarity, symbol, colour, text in (
        (1, "triangle-up", "#C0392B", "for the basket"),  # red is up on a Chinese screen
        (0, "circle", "#888888", "neutral"),
        (-1, "triangle-down", "#1E8449", "against the basket"),
    ):
        part = events.filter(pl.col("polarity") == polarity)
        if part.height:
            figure.add_trace(
                go.Scatter(
                    x=part["decision_date"].to_list(),
                    y=[polarity] * part.height,
                    mode="markers",
                    name=f"event {text}",
                    marker={"symbol": symbol, "color": colour, "size": 9, "opacity": 0.75},
                    text=[f"{k}: {_short(q)}" for k, q in part.select("kind", "quote").iter_rows()],
                    hovertemplate="%{text}<extra></extra>",
                ),
                row=3, col=1,
            )  # fmt: skip
    figure.update_yaxes(title_text="growth of 1", row=1, col=1)
    figure.update_yaxes(title_text="drawdown %", row=2, col=1)
    figure.update_yaxes(title_text="events", row=3, col=1, range=[-1.7, 1.7], showticklabels=False)
    figure.update_layout(
        height=760,
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "entrywidth": 165},
        margin={"t": 110},
        updatemenus=[
            {
                "type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1.13,
                "buttons": [
                    {"label": "linear", "method": "relayout", "args": [{"yaxis.type": "linear"}]},
                    {"label": "log", "method": "relayout", "args": [{"yaxis.type": "log"}]},
                ],
            }
        ],
    )  # fmt: skip
    return _html(figure, "curves")


def costs(comparison: Comparison) -> str:
    """What trading cost each strategy in yuan: the fees by kind, and what slippage took in the prices."""
    import plotly.graph_objects as go

    table = comparison.table.filter(pl.col("strategy").is_in(list(comparison.results)))
    figure = go.Figure(
        [
            go.Bar(y=table["strategy"].to_list(), x=table[column].round(2).to_list(), name=name, orientation="h",
                   marker={"color": colour}, hovertemplate="¥%{x:,.0f}")
            for column, name, colour in (
                ("commission", "commission", "#0072B2"),
                ("stamp_duty", "stamp duty", "#D55E00"),
                ("transfer_fee", "transfer fee", "#009E73"),
                ("slippage", "slippage", "#E69F00"),
            )
        ]
    )  # fmt: skip
    figure.update_layout(
        barmode="stack",
        height=90 + 38 * table.height,
        xaxis_title="yuan",
        yaxis={"autorange": "reversed"},
        legend=ABOVE,
    )
    return _html(figure, "costs")


def refused(comparison: Comparison) -> str:
    """Orders the exchange or the account refused or cut, by reason; each once a reason it met."""
    import plotly.graph_objects as go

    counts = pl.concat(
        [
            r.refusals.group_by("reason")
            .agg(pl.col("orders").sum())
            .with_columns(pl.lit(n).alias("strategy"))
            for n, r in comparison.results.items()
        ]
    )
    names = list(comparison.results)
    figure = go.Figure(
        [
            go.Bar(
                y=names,
                x=[int(part.filter(pl.col("strategy") == n)["orders"].sum()) for n in names],
                name=reason,
                orientation="h",
                marker={"color": PALETTE[i % len(PALETTE)]},
            )
            for i, (reason, part) in enumerate(
                (key[0], part) for key, part in counts.sort("reason").group_by("reason", maintain_order=True)
            )
        ]
    )
    figure.update_layout(
        barmode="stack", height=120 + 38 * len(names), xaxis_title="orders", yaxis={"autorange": "reversed"},
        showlegend=True, legend=ABOVE,
    )  # fmt: skip
    return _html(figure, "refused")


def _html(figure: Any, name: str) -> str:
    figure.update_layout(
        template="plotly_white",
        font={"family": FONT, "size": 13},
        margin={"l": 60, "r": 40, "t": figure.layout.margin.t or 50, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#b5bcc6", "orientation": "v"},
    )
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=name,
            config={"displaylogo": False, "responsive": True},
        )
    )


def _short(text: str | None, length: int = 60) -> str:
    if not text:
        return ""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
