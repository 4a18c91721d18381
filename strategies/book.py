"""What every strategy needs besides its hypothesis: who may be held, when to trade, and checked parameters.

1. ``prepare``    the panel in order, with ``eligible``: listed long enough and not out of trading for long
2. a strategy     puts a ``weight`` on every row: the book it wants that evening
3. ``emit``       keeps the evenings on which that book changes, so that nothing trades for nothing
"""

from __future__ import annotations

import dataclasses
import numbers
import typing
from typing import Any, Literal

import polars as pl

from data_cache.errors import UsageError

__all__ = [
    "CASH_BUFFER",
    "INVESTED",
    "emit",
    "equal_weights",
    "field_types",
    "first_session_of",
    "needed",
    "prepare",
    "require",
]

CASH_BUFFER = 0.02
"""Fraction of the account left in cash, so that fees and a higher open still fit."""
INVESTED = 1.0 - CASH_BUFFER
ABSENT = 20
"""Sessions without a trade after which a name leaves the books; until then a suspended position is kept."""


def prepare(panel: pl.LazyFrame, *, min_history: int) -> pl.LazyFrame:
    """The panel sorted by symbol and date, with ``eligible``.

    Args:
        panel: the panel of docs/design.md, in any row order.
        min_history: sessions from its first bar on that a symbol needs. One that is there when the panel
            begins was listed before, and has them.
    """
    seasoned = pl.col("date").cum_count().over("symbol") >= min_history
    old = pl.col("date").min().over("symbol") == pl.col("date").min()
    lately = pl.col("traded").cast(pl.Int32).rolling_sum(ABSENT, min_samples=1).over("symbol") > 0
    return panel.sort("symbol", "date").with_columns(eligible=(seasoned | old) & lately)


def equal_weights(among: pl.Expr) -> pl.Expr:
    """``INVESTED`` split evenly, each date, over the rows where ``among`` is true; 0 for the others."""
    count = among.sum().over("date")
    return pl.when(among).then(INVESTED / count).otherwise(0.0)


def first_session_of(span: Literal["1w", "1mo", "1q", "1y"]) -> pl.Expr:
    """True on the first session of each calendar week, month, quarter or year."""
    return pl.col("date") == pl.col("date").min().over(pl.col("date").dt.truncate(span))


def emit(book: pl.LazyFrame, *, due: pl.Expr | None = None, refresh: pl.Expr | None = None) -> pl.LazyFrame:
    """The evenings worth trading on: those on which the wanted book differs from the one before.

    Args:
        book: the panel with ``weight`` (0 or null for what is not wanted) on every row; rows that are not
            ``active`` are history only.
        due: true on the dates on which the book may change, one value a date; None for every date. The first
            active date always counts.
        refresh: true on the dates on which it is emitted even unchanged, to undo the drift of weights.

    Returns:
        date, symbol, weight; sorted. A symbol that leaves the book has one row of weight 0.
    """
    never, always = pl.lit(value=False), pl.lit(value=True)
    first = pl.col("date") == pl.col("date").min()
    changed = (pl.col("weight") - pl.col("before")).abs() > 1e-9
    return (
        book.with_columns(
            pl.col("weight").fill_null(0.0),
            due=always if due is None else due,
            refresh=never if refresh is None else refresh,
        )
        .filter("active")
        .filter(pl.col("due") | first)
        .sort("symbol", "date")
        .with_columns(before=pl.col("weight").shift(1).over("symbol").fill_null(0.0))
        .filter((changed | pl.col("refresh")).any().over("date"))
        .filter((pl.col("weight") > 0) | (pl.col("before") > 0))
        .select("date", "symbol", "weight")
        .sort("date", "symbol")
    )


def require(parameters: Any, **bounds: tuple[float, float]) -> None:
    """Check a dataclass of parameters: each field against its type, the numbers against their bounds.

    Args:
        parameters: whole numbers (int), numbers (float: whole ones too), bool, str, one of a few words (Literal);
            None too where the type says so.
        bounds: field=(lowest, highest), both included.

    Raises:
        UsageError: naming the parameter, the value received and what is needed.

    >>> from strategies import Momentum
    >>> require(Momentum(), top=(1, 100))
    """
    for name, hint in field_types(type(parameters)).items():
        value = getattr(parameters, name)
        if not _is(value, hint):
            low, high = bounds.get(name, (None, None))
            span = "" if low is None else f" from {low:g} to {high:g}"
            raise UsageError(f"{name} is {value!r}; needs {needed(hint)}{span}")
    for name, (low, high) in bounds.items():
        value = getattr(parameters, name)
        if value < low:
            raise UsageError(f"{name} is {value:g}; needs at least {low:g}")
        if value > high:
            raise UsageError(f"{name} is {value:g}; needs at most {high:g}")


def field_types(cls: type[Any]) -> dict[str, Any]:
    """The type of each field of a dataclass."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def needed(hint: Any) -> str:
    """What a field of this type takes, in words."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    if typing.get_origin(hint) is Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    return " or ".join(words[each] for each in typing.get_args(hint) or (hint,))


def _is(value: Any, hint: Any) -> bool:
    """Whether a value is of a field's type; a bool is no number, NaN is none either."""
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if parts := typing.get_args(hint):
        return any(_is(value, part) for part in parts)
    if hint in (int, float):
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool) and value == value
    return isinstance(value, hint)
