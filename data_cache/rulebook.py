"""The dated rule book of the three exchanges: what a symbol was on a date, and what that meant for an order.

Whole panels: ``limits``, ``fees``, ``lots`` (polars in, polars out). One question: ``rule``. Every answer
comes from ``data/rules.csv`` (and ``rule_exceptions.csv``), row by row with its source and confidence;
docs/rules.md explains the table.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from data_cache.calendar import as_day, xshg_sessions
from data_cache.charges import FEE_RULES, LOT_RULES, fees, lots
from data_cache.errors import UnknownName, UnknownSymbol, UsageError
from data_cache.limits import decide, limits, panel
from data_cache.rule_table import BOARDS, PREFIX, STATUSES, Row, board_of, deciding, prefix_rows, table
from data_cache.symbols import Symbol

__all__ = [
    "BOARDS",
    "STATUSES",
    "RuleAnswer",
    "board",
    "dividend_tax",
    "fees",
    "limits",
    "lots",
    "rule",
    "status_expr",
    "status_of_name",
    "table",
]

_MARKS = r"^(?:XD|XR|DR|G)+"  # ex-dividend, ex-rights, both; G: share reform done (2005-2006)
_STATUS_PATTERNS = (  # first match after the marks are dropped; the name_marker rows in regular form
    ("delisting_period", r"^退市|退$|退市$"),
    ("relisting", r"^N(?:S?\*?ST|S\p{Han})"),
    ("st", r"^C?S?\*?ST"),
    ("s_share", r"^S\p{Han}"),
    ("new_listing", r"^[NC]\p{Han}|^[NC][A-Z]{2}"),
)


def board(symbol: str, date: dt.date | str) -> str:
    """The board a symbol traded on at a date.

    Args:
        symbol: any spelling ``Symbol.parse`` reads.
        date: a date or ``YYYY-MM-DD``.

    Returns:
        ``sse_main``, ``szse_main``, ``chinext``, ``star`` or ``bse``. A 920 code is ``bse`` from 2021-11-15:
        vendors back-fill it over the whole history.

    Raises:
        UnknownSymbol: the code is no A-share's.
        UsageError: the code was not on that board at that date.
    """
    known, day = Symbol.parse(symbol), as_day("date", date)
    row = deciding(PREFIX, known, "normal", day)
    if row is not None:
        return row.board
    if board_of(known) is None:
        raise UnknownSymbol(f"{known} has no A-share's code; boards and their prefixes are in docs/rules.md")
    windows = [row for row in prefix_rows() if known.startswith(row.value)]
    since, until = min(row.valid_from for row in windows), max(row.valid_to or dt.date.max for row in windows)
    raise UsageError(
        f"{known} was on no board on {day}: {windows[0].value} codes are {windows[0].board} from {since}"
        + ("" if until == dt.date.max else f" to {until}, 920 codes after")
    )


def status_of_name(name: str | None) -> str:
    """What a stock's short name of the day says of it.

    Args:
        name: e.g. ``*ST中华A``, ``XD英维克``, ``N上声``, ``退市博元``; None is ``normal``. Full-width letters
            and spaces are read as plain ones.

    Returns:
        One of ``STATUSES``. ``N`` before an ST or S name is a ``relisting``: back after a suspended listing
        or the share reform.
    """
    return str(pl.select(status_expr(pl.lit(name, dtype=pl.String))).item())


def status_expr(name: pl.Expr) -> pl.Expr:
    """``status_of_name`` over a column; a null name is ``normal``."""
    plain = (
        name.str.to_uppercase()
        .str.replace_all("＊", "*", literal=True)
        .str.replace_all("Ｓ", "S", literal=True)
        .str.replace_all("Ｔ", "T", literal=True)
        .str.replace_all(r"\s", "")
        .str.replace(_MARKS, "")
    )
    answer = pl.lit("normal")
    for status, pattern in reversed(_STATUS_PATTERNS):
        answer = pl.when(plain.str.contains(pattern)).then(pl.lit(status)).otherwise(answer)
    return answer


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """One question's answer; rates are fractions, prices yuan, sizes shares, None means there is none.

    Args:
        doubtful: whether a limit, lot or fee rests on a row marked ``doubtful`` or ``knowledge_medium``.
        marked: the rules among ``rules`` that are marked so, those told for information included.
        remarks: what was assumed, in sentences.
        rules: the rows of the book that decided, each as a mapping of the table's columns.
    """

    symbol: str
    date: dt.date
    board: str
    status: str
    listed_days: int | None
    reference: float | None
    limit_up: float | None
    limit_down: float | None
    no_limit: bool
    buy_lot: int
    buy_step: int
    sell_lot: int
    sell_step: int
    order_max: int | None
    order_max_market: int | None
    st_daily_buy_cap: int | None
    stamp_duty_buy: float
    stamp_duty_sell: float
    transfer_fee: float
    transfer_fee_basis: str
    transfer_fee_min: float
    transfer_fee_inside_commission: bool
    commission_cap: float
    commission_floor: float
    doubtful: bool
    marked: tuple[str, ...]
    remarks: tuple[str, ...]
    rules: tuple[dict[str, object], ...]


_TOLD = (
    "odd_lot_sell", "settlement", "price_cage", "dividend_tax_individual", "ex_reference_price_formula",
    "limit_reference_price", "handling_fee_rate", "regulatory_fee_rate", "delisting_period_length",
)  # fmt: skip


def _of_the_calendar(day: dt.date) -> list[str]:
    """What to say of a day that is no session, or may be none."""
    what = f"a {day:%A}"
    if day.weekday() < 5:  # only then ask: the calendar takes a second to import
        sessions = xshg_sessions()
        if day > sessions[-1]:
            return [f"whether {day} is a session is not known; the holidays are known up to {sessions[-1]}"]
        if (sessions == day).any():
            return []
        what = "a holiday of the exchanges"
    return [f"{day} is {what}, no session; these are the rules in force that day"]


def rule(
    symbol: str,
    date: dt.date | str,
    *,
    prev_close: float | None = None,
    status: str = "normal",
    listed_days: int | None = None,
    issue_price: float | None = None,
) -> RuleAnswer:
    """Everything the book says of one symbol on one date.

    Args:
        symbol: any spelling ``Symbol.parse`` reads.
        date: a date or ``YYYY-MM-DD``.
        prev_close: the reference price in yuan: previous close, or the ex-reference price; None asks for no
            limit prices.
        status: one of ``STATUSES``.
        listed_days: 1 on the first session of the listing, relisting, or (under ``delisting_period``) of that
            period. Not given: long ago; under ``new_listing`` and ``relisting`` the first session.
        issue_price: replaces ``prev_close`` as the reference of a listing's first session.

    Raises:
        UnknownSymbol: no A-share has this code.
        UnknownName: no such status.
        UsageError: a date outside the book, a price that is not positive, listed_days below 1.
    """
    if status not in STATUSES:
        raise UnknownName("status", status, STATUSES)
    known, day = Symbol.parse(symbol), as_day("date", date)
    where = board(known, day)
    for label, price in (("prev-close", prev_close), ("issue-price", issue_price)):
        if price is not None and not 0 < price < float("inf"):
            raise UsageError(f"{label} is {price}; needs a positive price in yuan")
    if listed_days is not None and listed_days < 1:
        raise UsageError(f"listed-days is {listed_days}; the first session is 1")
    remarks = _of_the_calendar(day)
    if listed_days is None and status in ("new_listing", "relisting"):
        remarks.append(
            f"listed-days not given: the first session of the {status.replace('_', ' ')} is assumed"
        )
    if listed_days is None and status == "delisting_period":
        remarks.append("listed-days not given: a session after the first of the delisting period is assumed")
    first = (listed_days or 1) == 1 and (status == "new_listing" or (status == "normal" and listed_days == 1))
    reference = issue_price if first and issue_price is not None else prev_close
    frame = pl.DataFrame(
        {
            "symbol": [str(known)],
            "date": [day],
            "reference": [reference],
            "status": [status],
            "listed_days": [listed_days],
        },
        schema={
            "symbol": pl.String,
            "date": pl.Date,
            "reference": pl.Float64,
            "status": pl.String,
            "listed_days": pl.Int64,
        },
    )
    said = decide(panel(frame, "reference"))
    told = lots(fees(limits(frame))).row(0, named=True)
    if told["board"] is None or told["stamp_duty_sell"] is None or told["buy_lot"] is None:
        begins = book_begins(known)
        raise UsageError(f"{known} on {day}: the rule book of {where} begins {begins}")
    others = (deciding(name, known, status, day) for name in (*FEE_RULES[1:], *LOT_RULES[1:], *_TOLD))
    rows = list(dict.fromkeys([*said.rows(0), *(row for row in others if row is not None)]))
    verdict = said.verdicts.get(0)
    if verdict and verdict.band and issue_price is None and reference is not None:
        remarks.append("first session under the old regime: prev-close is taken as the issue price")
    ratio = next((row for row in rows if row.rule == "price_limit_up_ratio"), None)
    if ratio and ratio.status == "normal" and status in ("st", "s_share", "delisting_period"):
        remarks.append(
            f"the book has no limit of its own for {status} on {where} that day; the normal one is told"
        )
    return RuleAnswer(
        symbol=str(known),
        date=day,
        status=status,
        no_limit=bool(said.unlimited[0]),
        marked=tuple(row.rule for row in rows if row.doubtful),
        remarks=tuple(remarks),
        rules=tuple(_as_dict(row) for row in rows),
        listed_days=listed_days,
        **{
            name: told[name]
            for name in RuleAnswer.__dataclass_fields__
            if name in told and name not in ("symbol", "date", "status", "listed_days")
        },
    )


def dividend_tax(symbol: str, date: dt.date | str) -> tuple[float, float, float]:
    """An individual's tax on a cash dividend or bonus share, by how long the share was held.

    Args:
        symbol: any spelling ``Symbol.parse`` reads.
        date: the ex-date.

    Returns:
        Fractions of the dividend before tax: held up to a month, up to a year, longer.

    Raises:
        UsageError: before 2013-01-01, where the book has no brackets.
    """
    known, day = Symbol.parse(symbol), as_day("date", date)
    row = deciding("dividend_tax_individual", known, "normal", day)
    if row is None:
        raise UsageError(f"the rule book has no dividend tax for {known} on {day}; it begins 2013-01-01")
    month, year, longer = (float(rate) for rate in row.value.split("/"))
    return month, year, longer


def book_begins(symbol: str) -> dt.date:
    """The first date on which the book answers everything about a symbol of this board."""
    name = board_of(symbol)
    starts = table().filter(
        pl.col("board") == name,
        pl.col("rule").is_in(["tick", "lot_step", "limit_price_rounding", "stamp_duty_sell_rate"]),
    )
    return starts.group_by("rule").agg(pl.col("valid_from").min()).get_column("valid_from").max()  # type: ignore[return-value]


def _as_dict(row: Row) -> dict[str, object]:
    return {name: value for name, value in row._asdict().items() if name != "row"}
