"""Sina's packed answers, written: the inverse of the JavaScript that akshare runs to read them.

Values are little-endian bit fields of 6 bits a base64 letter. Each answer begins with its type and version; then
type 139 is a calendar, 3466 daily bars of a stock with amount, 1479 daily bars of an index.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_DAY_0 = dt.date(1990, 12, 19)
_VERSION = 63  # the version under which prices have the default number of decimals

Row = tuple[dt.date, float, float, float, float, int, int]
"""date, open, high, low, close, shares, yuan."""


class _Writer:
    def __init__(self, kind: int) -> None:
        self.bits: list[int] = []
        self.field(kind, 12)
        self.field(_VERSION, 6)

    def field(self, value: int, width: int) -> None:
        if value < 0:
            value += 1 << width
        assert 0 <= value < 1 << width, (value, width)
        self.bits += [value >> k & 1 for k in range(width)]

    def flags(self, *values: int) -> None:
        self.bits += values

    def step(self, by: int) -> None:
        """A signed count in unary: sign, magnitude less one in ones, a zero."""
        self.flags(int(by > 0), *[1] * (abs(by) - 1), 0)

    def text(self) -> str:
        bits = self.bits + [0] * (-len(self.bits) % 6)
        letters = (bits[i : i + 6] for i in range(0, len(bits), 6))
        return "".join(_ALPHABET[sum(bit << k for k, bit in enumerate(six))] for six in letters)


def _number(day: dt.date) -> int:
    return (day - _DAY_0).days


def calendar(days: Sequence[dt.date]) -> str:
    """Sessions as lengths of runs of weekdays between holidays."""
    out = _Writer(139)
    out.field(_number(days[0]), 18)
    out.field(_number(days[-1]), 18)
    open_days, run, runs = set(days), 0, []
    for n in range((days[-1] - days[0]).days + 1):
        day = days[0] + dt.timedelta(days=n)
        if day.weekday() >= 5:
            continue
        if day in open_days:
            run += 1
        else:
            runs.append(run)
            run = 0
    for n, length in enumerate([*runs, run]):
        if n == 0:
            out.flags(1)
            out.step(5)  # run lengths take 3 x 5 bits from here on
        else:
            out.flags(0)
        out.field(length, 15)
    return out.text()


_BASE = {"open": 3, "high": 3, "low": 3, "close": 3, "volume": 5, "amount": 5}
_WIDTH = {"open": 8, "high": 8, "low": 8, "close": 8, "volume": 14, "amount": 16}


def stock_bars(rows: Sequence[Row], before: float) -> str:
    """Bars with two decimals, shares and yuan, each as differences at fixed widths; ``before``: first prev close."""
    out = _Writer(3466)
    last_close, last_volume, last_amount = 0, 0, 0
    for n, (day, *prices, shares, yuan) in enumerate(rows):
        opened, high, low, close = (round(p * 100) for p in prices)
        out.flags(1, 1)
        if n == 0:
            out.flags(1, 1, 1, 0, 0, 0, 0, 0, 0, 0)  # amounts as plain differences; decimals as they are
        else:
            out.flags(0)
        out.flags(1)
        for name in _WIDTH:
            if n == 0:
                out.flags(1)
                out.step(_WIDTH[name] - _BASE[name])
            else:
                out.flags(0)
        out.flags(1)
        out.field(1, 3)  # the date in full
        out.field(_number(day), 18)
        if n == 0:
            out.flags(1, 0)
            out.field(round(before * 100), 3 * _WIDTH["open"])
            last_close = round(before * 100)
        else:
            out.flags(0)
        steps = {
            "open": opened - last_close, "high": high - opened, "low": opened - low, "close": close - opened,
            "volume": shares - last_volume, "amount": yuan - last_amount,
        }  # fmt: skip
        for name, value in steps.items():
            out.field(value, 3 * _WIDTH[name])
        last_close, last_volume, last_amount = close, shares, yuan
    out.flags(1, 1, 0, 0, 0)
    return out.text()


def index_bars(rows: Sequence[Row]) -> str:
    """Bars with three decimals and shares, no amount."""
    out = _Writer(1479)
    out.field(3, 6)
    out.field(_number(rows[0][0]) + 1, 18)
    out.field(4, 3)
    out.field(4, 3)
    last_close, last_volume = 0, 0
    for n, (day, *prices, shares, _yuan) in enumerate(rows):
        opened, high, low, close = (round(p * 1000) for p in prices)
        out.field(32, 6)
        out.field(17 if n == 0 else 1, 6)
        out.field(_number(day), 18)
        if n == 0:
            out.field(63, 6)
            out.field(4, 3)
            out.field(6, 3)
        for value, width in (
            (opened - last_close, 24), (high - opened, 24), (opened - low, 24), (close - opened, 24),
            (shares - last_volume, 30),
        ):  # fmt: skip
            out.field(value, width)
        last_close, last_volume = close, shares
    return out.text()
