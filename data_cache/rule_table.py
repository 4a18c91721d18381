"""The rule book as a table: read once, validated, and turned into regimes a panel can be matched against.

1. ``table``: rules.csv and the few exceptions by symbol, validated, one row per dated fact, numbered.
2. ``deciding``: the one row that answers (rule, symbol, status, date), or None.
3. ``regimes``: per group of symbols and status, the spans of dates on which every deciding row is the same.
4. ``match``: for each row of a panel, the regime that holds: one packed integer a row, one binary search.

A *group* is what the book can tell apart: a code prefix (``300.SZ``), or one symbol with an exception.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import dataframely as dy
import numpy as np
import polars as pl

from data_cache.errors import IntegrityError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BOARDS",
    "CONFIDENCES",
    "STATUSES",
    "Matched",
    "Row",
    "RuleRows",
    "board_of",
    "deciding",
    "group_of",
    "match",
    "prefix_rows",
    "table",
]

BOARDS = {"sse_main": "SH", "szse_main": "SZ", "chinext": "SZ", "star": "SH", "bse": "BJ"}
"""Every board and the exchange its symbols carry."""
STATUSES = ("normal", "st", "s_share", "delisting_period", "new_listing", "relisting")
CONFIDENCES = ("fetched", "knowledge_high", "knowledge_medium", "doubtful")
DOUBTFUL = frozenset({"knowledge_medium", "doubtful"})
PREFIX = "board_code_prefix"
_FOREVER = dt.date.max
_BEFORE_ALL = dt.date.min
_DAY_BITS = 23  # every date python knows fits, shifted to be positive
_DAY_SHIFT = 1 << (_DAY_BITS - 1)


class RuleRows(dy.Schema):
    """One dated fact: what ``value`` was, for whom, from when to when, who says so and how sure we are."""

    rule = dy.String()
    symbol = dy.String(nullable=True, regex=r"^\d{6}\.(SZ|SH|BJ)$")  # null: the whole board
    board = dy.String(check=lambda c: c.is_in(list(BOARDS)))
    status = dy.String(check=lambda c: c.is_in([*STATUSES, "any"]))
    valid_from = dy.Date()
    valid_to = dy.Date(nullable=True)  # last day; null: still in force
    value = dy.String(min_length=1)
    unit = dy.String(min_length=1)
    source_name = dy.String(min_length=1)
    source_address = dy.String(nullable=True)
    confidence = dy.String(check=lambda c: c.is_in(list(CONFIDENCES)))
    remark = dy.String(nullable=True)
    row = dy.Int32(primary_key=True)

    @dy.rule()
    def window_is_ordered(cls) -> pl.Expr:
        """A rule ends no earlier than it begins."""
        return pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from"))

    @dy.rule()
    def windows_do_not_overlap(cls) -> pl.Expr:
        """At most one row answers on a date (a board may have several code prefixes at once)."""
        same = ["rule", "symbol", "board", "status"]
        before = pl.col("valid_to").fill_null(_FOREVER).shift(1).over(same, order_by="valid_from")
        return (pl.col("rule") == PREFIX) | (pl.col("valid_from") > before).fill_null(value=True)


class Row(NamedTuple):
    """One row of the book, as ``table`` holds it."""

    rule: str
    symbol: str | None
    board: str
    status: str
    valid_from: dt.date
    valid_to: dt.date | None
    value: str
    unit: str
    source_name: str
    source_address: str | None
    confidence: str
    remark: str | None
    row: int

    @property
    def doubtful(self) -> bool:
        """Whether a result that rests on this row is to be marked."""
        return self.confidence in DOUBTFUL


@cache
def table() -> pl.DataFrame:
    """The whole book, exceptions after the rules, numbered by ``row``.

    Raises:
        IntegrityError: a row breaks a rule of ``RuleRows``; names it.
    """
    folder = files("data_cache") / "data"
    parts = []
    for name in ("rules.csv", "rule_exceptions.csv"):
        with (folder / name).open("rb") as file:
            parts.append(pl.read_csv(file, infer_schema=False))
    book = (
        pl.concat(parts, how="diagonal")
        .with_columns(pl.col("valid_from", "valid_to").str.to_date())
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int32))
        .select(RuleRows.column_names())
    )
    good, bad = RuleRows.filter(book)
    if counts := bad.counts():
        raise IntegrityError(
            f"the rule book breaks {counts}, first in {bad.invalid().row(0, named=True)}; mend data/*.csv"
        )
    return good.sort("row")


@cache
def _rows() -> tuple[Row, ...]:
    return tuple(Row(*values) for values in table().iter_rows())


@cache
def _rows_of(rule: str, board: str) -> tuple[Row, ...]:
    return tuple(row for row in _rows() if row.rule == rule and row.board == board)


@cache
def _excepted() -> frozenset[str]:
    return frozenset(row.symbol for row in _rows() if row.symbol)


@cache
def prefix_rows() -> tuple[Row, ...]:
    """The rows that say which code prefix is which board's, and when."""
    return tuple(row for row in _rows() if row.rule == PREFIX)


@cache
def group_of(symbol: str) -> str:
    """What the book can tell of a symbol: itself where it has an exception, else its prefix and exchange."""
    return symbol if symbol in _excepted() else f"{symbol[:3]}###{symbol[6:]}"


@cache
def board_of(group: str) -> str | None:
    """The board of a group or symbol at any date; None where no A-share has such a code."""
    for row in prefix_rows():
        if group.startswith(row.value) and group[6:] == "." + BOARDS[row.board]:
            return row.board
    return None


def deciding(rule: str, symbol: str, status: str, day: dt.date) -> Row | None:
    """The row that answers; exceptions first, the status itself before ``any`` before ``normal``.

    Args:
        rule: as in the table, e.g. ``price_limit_up_ratio``.
        symbol: ``300999.SZ``, or a group.
        status: one of ``STATUSES``.
        day: any date.
    """
    board = board_of(symbol)
    if board is None:
        return None
    order = (status, "any", "normal")
    found = [
        row
        for row in _rows_of(rule, board)
        if row.valid_from <= day <= (row.valid_to or _FOREVER)
        and row.symbol in (None, symbol)
        and row.status in order
        and (rule != PREFIX or symbol.startswith(row.value))
    ]
    return min(found, key=lambda row: (row.symbol is None, order.index(row.status)), default=None)


@cache
def regimes(group: str, rules: tuple[str, ...]) -> tuple[tuple[str, dt.date, tuple[Row | None, ...]], ...]:
    """(status, first day, deciding row per rule) in order; each holds until the next of its status."""
    board = board_of(group)
    if board is None:
        return tuple((status, _BEFORE_ALL, (None,) * len(rules)) for status in STATUSES)
    days = {_BEFORE_ALL}
    for rule in rules:
        for row in _rows_of(rule, board):
            days.add(row.valid_from)
            if row.valid_to is not None:
                days.add(row.valid_to + dt.timedelta(days=1))
    return tuple(
        (status, day, tuple(deciding(rule, group, status, day) for rule in rules))
        for status in STATUSES
        for day in sorted(days)
    )


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Matched:
    """Which regime holds on each row of a panel.

    Args:
        index: shape (rows,), into ``rows``.
        rows: per regime, the deciding row of each asked rule, in the asked order; None where there is none.
        statuses: per regime, the status asked about.
    """

    index: np.ndarray[Any, np.dtype[np.int64]]
    rows: tuple[tuple[Row | None, ...], ...]
    statuses: tuple[str, ...]


def match(frame: pl.DataFrame, rules: Sequence[str]) -> Matched:
    """Find the regime of every row.

    Args:
        frame: columns ``symbol``, ``date``, ``status`` (one of ``STATUSES``, no nulls).
        rules: the rules a regime is to answer.

    Raises:
        UnknownName: a status that is not one of ``STATUSES``.
    """
    asked = tuple(rules)
    symbols = frame.get_column("symbol").cast(pl.Categorical)
    distinct = symbols.unique()
    group_of_each = [group_of(symbol) for symbol in distinct.cast(pl.String)]
    groups = sorted(set(group_of_each))
    number = {group: i for i, group in enumerate(groups)}
    group_by_code = np.zeros(int(distinct.to_physical().max() or 0) + 1, dtype=np.int64)  # type: ignore[arg-type]
    group_by_code[distinct.to_physical().to_numpy()] = [number[group] for group in group_of_each]
    statuses = frame.get_column("status")
    for status in statuses.unique().to_list():
        if status not in STATUSES:
            raise UnknownName("status", str(status), STATUSES)
    packed = _pack(
        group_by_code[symbols.to_physical().to_numpy()],
        statuses.cast(pl.Enum(STATUSES)).to_physical().to_numpy(),
        frame.get_column("date").to_physical().to_numpy().astype(np.int64),
    )
    starts: list[int] = []
    rows: list[tuple[Row | None, ...]] = []
    names: list[str] = []
    for group in groups:
        for status, day, found in regimes(group, asked):
            since = (day - dt.date(1970, 1, 1)).days
            starts.append(int(_pack(number[group], STATUSES.index(status), since)))
            rows.append(found)
            names.append(status)
    order = np.searchsorted(np.asarray(starts, dtype=np.int64), packed, side="right") - 1
    return Matched(index=order, rows=tuple(rows), statuses=tuple(names))


def _pack(group: Any, status: Any, day: Any) -> Any:
    return ((group * len(STATUSES) + status) << _DAY_BITS) + (day + _DAY_SHIFT)
