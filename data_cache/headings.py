"""Vendors' headings as our column names; the only place that knows how others spell them.

A heading is compared in lower case, without spaces and without a unit in brackets, which is read
(``成交量(手)`` is volume in lots). Where two headings mean the same column, the one further left in the
table wins and the other is not used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from data_cache.errors import UsageError
from data_cache.rawtable import RawTable

__all__ = ["ALIASES", "Headings", "parse_map", "recognise"]

ALIASES: dict[str, tuple[str, ...]] = {
    "symbol": (
        "symbol", "ts_code", "股票代码", "证券代码", "指数代码", "code", "代码", "wind_code", "windcode",
        "thscode", "order_book_id", "stock_code", "stockcode", "sec_code", "ticker",
    ),
    "date": (
        "date", "trade_date", "tradedate", "trading_date", "日期", "交易日期", "交易日", "datetime", "day",
        "时间",
    ),
    "open": ("open", "开盘", "开盘价", "open_price", "openprice"),
    "high": ("high", "最高", "最高价", "high_price", "highprice"),
    "low": ("low", "最低", "最低价", "low_price", "lowprice"),
    "close": ("close", "收盘", "收盘价", "close_price", "closeprice"),
    "volume": ("volume", "vol", "成交量", "成交股数", "trade_volume"),
    "amount": ("amount", "成交额", "成交金额", "money", "total_turnover", "amt", "trade_amount"),
    "factor": ("factor", "adj_factor", "adjfactor", "hfq_factor", "后复权因子", "复权因子", "ex_cum_factor"),
    "basis": ("basis",),
    "ex_date": ("ex_date", "exdate", "除权除息日", "除权日", "除息日"),
    "cash": ("cash", "cash_div_tax"),
    "bonus": ("bonus", "stk_bo_rate"),
    "transfer": ("transfer", "stk_co_rate"),
    "record_date": ("record_date", "股权登记日"),
    "announced_on": ("announced_on", "ann_date", "公告日期"),
    "name": ("name", "名称", "股票简称", "证券简称", "股票名称", "证券名称", "简称", "sec_name", "code_name"),
    "board": ("board",),
    "listed": ("listed", "list_date", "ipodate", "上市日期", "上市时间"),
    "delisted": ("delisted", "delist_date", "outdate", "退市日期", "终止上市日期"),
    "valid_from": ("valid_from", "start_date", "变更日期"),
    "suspended": ("suspended", "suspend_type", "停牌"),
    "reason": ("reason", "suspend_reason", "停牌原因"),
}  # fmt: skip
"""Our column: the headings that mean it, most specific first. Event columns are spelt as in ``Events``."""

_UNITS = {"手": "lots", "股": "shares", "元": "yuan", "千元": "thousand", "万元": "10k"}
_UNIT = re.compile(r"^(.*?)\s*[(（\[](.*?)[)）\]]$")


@dataclass(frozen=True, slots=True)
class Headings:
    """Which heading of the file stands for each of our columns.

    Args:
        of: our column to the file's heading.
        units: the units headings state: ``volume`` and ``amount`` to the names ``units`` knows.
    """

    of: dict[str, str]
    units: dict[str, str]


def parse_map(text: str | None) -> dict[str, str]:
    """``date=交易日,close=收盘价`` as our column to heading.

    Raises:
        UsageError: a pair without ``=``, or a column that is not ours.
    """
    pairs: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        ours, sign, theirs = (p.strip() for p in part.partition("="))
        if not sign or not theirs:
            raise UsageError(
                f"--map: {part!r} is not COLUMN=HEADING; write e.g. --map date=交易日,close=收盘价"
            )
        if ours not in ALIASES:
            raise UsageError(f"--map: {ours!r} is not one of our columns ({', '.join(ALIASES)})")
        pairs[ours] = theirs
    return pairs


def recognise(raw: RawTable, given: Mapping[str, str]) -> Headings:
    """Find our columns among the file's headings; ``given`` (our column to heading) comes first.

    Raises:
        UsageError: a given heading the file does not have.
    """
    for ours, theirs in given.items():
        if theirs not in raw.headings:
            raise UsageError(
                f"{raw.path.name} has no column {theirs!r} (--map {ours}={theirs}); found: "
                f"{', '.join(raw.headings)}"
            )
    of = dict(given)
    spelt: dict[str, str] = {}
    units: dict[str, str] = {}
    for heading in raw.headings:
        name, unit = heading, ""
        if found := _UNIT.match(heading):
            name, unit = found[1], _UNITS.get(found[2], "")
        spelt.setdefault(re.sub(r"\s+", "", name).lower(), heading)
        units[heading] = unit
    for ours, aliases in ALIASES.items():
        for alias in aliases:
            found_under = spelt.get(alias)
            if ours not in of and found_under is not None and found_under not in of.values():
                of[ours] = found_under
    return Headings(
        of=of,
        units={c: units[of[c]] for c in ("volume", "amount") if c in of and units[of[c]]},
    )
