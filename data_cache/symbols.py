"""A-share symbols: one spelling inside (``002837.SZ``), every common spelling accepted at the door.

The board of a code, which depends on the date for the Beijing exchange, is the rule book's business
(``data_cache.rulebook.board``); this module knows only which exchange a code belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from data_cache.errors import UnknownSymbol

__all__ = ["Symbol", "parse_all"]

_EXCHANGES = {
    "SZ": "SZ", "SH": "SH", "BJ": "BJ", "XSHE": "SZ", "XSHG": "SH", "XBSE": "BJ", "SS": "SH", "SSE": "SH",
    "SZSE": "SZ", "BSE": "BJ",
}  # fmt: skip
_CODE = re.compile(r"^(\d{6})$")
_SUFFIXED = re.compile(r"^(\d{6})\.([A-Z]{2,4})$")
_PREFIXED = re.compile(r"^(SZ|SH|BJ)\.?(\d{6})$")
_CASHTAG = re.compile(r"\(((?:SZ|SH|BJ)\.?\d{6}|\d{6}\.[A-Z]{2,4})\)")


class Symbol(str):
    """One listed security, spelt ``CODE.EXCHANGE``; a plain ``str`` everywhere a frame needs one.

    >>> [Symbol.parse(t) for t in ("SZ002837", "sz002837", "002837", "002837.XSHE", "$英维克(SZ002837)$")]
    ['002837.SZ', '002837.SZ', '002837.SZ', '002837.SZ', '002837.SZ']
    >>> Symbol.parse("600519").exchange
    'SH'
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Symbol:
        """Read any of the common spellings.

        Args:
            text: e.g. ``SZ002837``, ``002837``, ``002837.XSHE``, ``$英维克(SZ002837)$``. A bare code is taken
                as a stock (``000001`` is Ping An Bank, the index is ``000001.SH``).

        Raises:
            UnknownSymbol: when the text names no A-share security.
        """
        raw = text.strip().upper()
        if tag := _CASHTAG.search(raw):
            raw = tag[1]
        if m := _SUFFIXED.match(raw):
            if m[2] in _EXCHANGES:
                return cls(f"{m[1]}.{_EXCHANGES[m[2]]}")
        elif m := _PREFIXED.match(raw):
            return cls(f"{m[2]}.{m[1]}")
        elif (m := _CODE.match(raw)) and (exchange := _exchange_of(m[1])):
            return cls(f"{m[1]}.{exchange}")
        raise UnknownSymbol(
            f"{text!r} is not an A-share symbol; write it as 002837.SZ, SZ002837 or 002837 (six digits)"
        )

    @property
    def code(self) -> str:
        """The six digits."""
        return self[:6]

    @property
    def exchange(self) -> str:
        """``SZ``, ``SH`` or ``BJ``."""
        return self[7:]


def parse_all(texts: Collection[str]) -> list[str]:
    """Each in the one spelling; one text alone is one symbol.

    Raises:
        UnknownSymbol: when one names no A-share security.
    """
    return [Symbol.parse(text) for text in ([texts] if isinstance(texts, str) else texts)]


def _exchange_of(code: str) -> str | None:
    """The exchange a bare stock code trades on; None where no A-share has such a code."""
    if code[:3] == "920" or code[:2] in ("43", "83", "87", "88"):
        return "BJ"
    if code[0] == "6":
        return "SH"
    if code[:2] in ("00", "30"):
        return "SZ"
    return None
