"""Numbers with units, as spoken: ranges, Chinese numerals, stutters, lost bounds.

1. One expression finds every number or range, with the unit that follows (or the 百分 before).
2. ``_value`` reads Arabic and Chinese numerals; 一一一百四十 is a stutter for 一百四十, 三四十 is 30 to 40.
3. ``_amount`` puts them in one unit a quantity: kW, fraction, CNY, kWh, count. A bound the text lost stays null.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Quantity", "find_quantities"]


class Quantity(NamedTuple):
    """One amount; ``low`` and ``high`` are in ``unit``, null where the text gives no such bound."""

    start: int
    end: int
    cls: str  # the class rules know it by: num_power, num_pct, ...
    unit: str
    low: float | None
    high: float | None


_CN = "(?:[零一二两三四五六七八九十百]|千(?!瓦|伏))"
_NUM = (
    rf"(?:\d+(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?|(?:几[百千]){{2,}}|零点[几一二三四五六七八九]|[一二两三四五六七八九]点[零一二三四五六七八九]+"
    rf"|[几数]?{_CN}+几?|几|数(?=[万亿])|上(?=[万亿]))"
)
_MULT = r"(?:个亿|百万|千万|万亿|十亿|百亿|千亿|[万亿千百](?!瓦))?"
_UNIT = (
    r"(?P<unit>%|个百分点|百分点|个点|成|兆瓦|吉瓦|千瓦时|度电|度(?!假|过)|千瓦|kwh|kw|mw(?!h)|gw(?!h)|瓦|w(?![a-z])|千伏|伏|v(?![a-z])|"
    r"人民币|元|美元|美金|欧元|英镑|日元|韩元|块钱|毛钱|毛(?!利)|刀|usd|rmb|"
    r"个?基点|bp|倍|万?台|万?只|万?颗|万?片|万?块|万?张|万?套|万?个(?!月|百|点|环|国|人|季|领|企|技)|万?枚|万?种|万?柜|万?架|多台|多颗|g(?![a-z\d])|t(?![a-z\d])|年)?"
)
_BETWEEN = r"(?:~|-|到|至)"
_NUMBER = re.compile(
    # fail fast: most characters begin no number, and most single numerals count no amount (一个, 两家)
    r"(?=[\d零一二两三四五六七八九十百千几数上])"
    r"(?![一二两三四五六七八九几](?:[^零一二两三四五六七八九十百千几万亿%点成个~\-到至兆吉千瓦度伏元美欧英日韩块毛刀倍年基多余来上下"
    r"只台颗片套张枚种柜架gtkmwvbur]|个(?!百|点|基)|$))"
    rf"(?P<pct>百分之?|百分点?之)?(?:(?P<lo>{_NUM})(?P<lomult>{_MULT})(?P<lounit>%|个点|千瓦|kw|瓦|w|亿|万)?{_BETWEEN})?"
    rf"(?P<lost>(?<=百分){_BETWEEN})?(?P<hi>{_NUM})(?P<more>[多余几]|来)?(?P<mult>{_MULT})(?P<more2>[多余])?{_UNIT}(?P<tail>以上|以下|以内|左右|上下|多)?"
)
_DIGITS = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_TENS = {"十": 10, "百": 100, "千": 1000}
_MULTIPLES = {
    "": 1.0, "个亿": 1e8, "百": 1e2, "千": 1e3, "万": 1e4, "百万": 1e6, "千万": 1e7, "亿": 1e8, "十亿": 1e9,
    "百亿": 1e10, "千亿": 1e11, "万亿": 1e12,
}  # fmt: skip
_SMALL = "一二两三四五六七八九几"
_CLASSIFIERS = frozenset("个种块张套片枚台架柜颗只g")
_STUTTER = re.compile(r"([零一二两三四五六七八九])\1+")
_AGAIN = re.compile(r"(几[百千])\1+")
_PAIR = re.compile(r"^([一二三四五六七八九])([二三四五六七八九])([十百千]?)$")

# unit in the text -> class, unit in the event, factor
_UNITS: dict[str, tuple[str, str, float]] = {
    **dict.fromkeys(("千瓦", "kw"), ("num_power", "kW", 1.0)),
    **dict.fromkeys(("兆瓦", "mw"), ("num_power", "kW", 1000.0)),
    **dict.fromkeys(("吉瓦", "gw"), ("num_power", "kW", 1000000.0)),
    **dict.fromkeys(("瓦", "w"), ("num_power", "W", 1.0)),
    **dict.fromkeys(("度", "度电", "千瓦时", "kwh"), ("num_energy", "kWh", 1.0)),
    **dict.fromkeys(("伏", "v"), ("num_voltage", "V", 1.0)),
    "千伏": ("num_voltage", "V", 1e3),
    **dict.fromkeys(("%", "个点", "百分点", "个百分点"), ("num_pct", "fraction", 0.01)),
    "成": ("num_pct", "fraction", 0.1),
    **dict.fromkeys(("元", "人民币", "块钱", "rmb"), ("num_money", "CNY", 1.0)),
    **dict.fromkeys(("美元", "美金", "刀", "usd"), ("num_money", "USD", 1.0)),
    "欧元": ("num_money", "EUR", 1.0),
    "英镑": ("num_money", "GBP", 1.0),
    "日元": ("num_money", "JPY", 1.0),
    "韩元": ("num_money", "KRW", 1.0),
    **dict.fromkeys(("基点", "个基点", "bp"), ("num_bp", "bp", 1.0)),
    **dict.fromkeys(("毛", "毛钱"), ("num_money", "CNY", 0.1)),
    "倍": ("num_times", "times", 1.0),
    "g": ("num_rate", "Gbps", 1.0),
    "t": ("num_rate", "Gbps", 1000.0),
    "年": ("num_year", "year", 1.0),
}


def find_quantities(text: str) -> list[Quantity]:
    """Every amount of a squeezed text, in order of place.

    >>> [(q.unit, q.low, q.high) for q in find_quantities("冷板40%~50%,海外三四十,接近一一一百四十千瓦")]
    [('fraction', 0.4, 0.5), ('', 30.0, 40.0), ('kW', 140.0, 140.0)]
    """
    return [
        Quantity(m.start(), m.end(), *amount)
        for m in _NUMBER.finditer(text)
        if (amount := _amount(*m.groups())) is not None
    ]


@lru_cache(maxsize=4096)
def _amount(
    pct: str | None,
    lo: str | None,
    lomult: str | None,
    lounit: str | None,
    lost: str | None,
    hi: str,
    more: str | None,
    mult: str,
    more2: str | None,
    unit: str | None,
    tail: str | None,
) -> tuple[str, str, float | None, float | None] | None:
    """Class, unit, low and high of the groups of ``_NUMBER``; null where they only count."""
    counting = (not unit or unit in _CLASSIFIERS) and len(hi) == 1 and hi in _SMALL
    if counting and not (pct or mult or lo):
        return None  # 一个, 两, 三种: counting words, not amounts
    low, high = _value(hi, mult)
    if low is None:
        return None
    if lo:
        # 10到20亿: the lower bound is in 亿 too, unless it has a unit of its own
        lower, _ = _value(lo, lomult or ("" if lounit else mult))
        low = lower if lower is not None else low
    elif lost:
        low = None
    if more or more2 or tail in ("以上", "多"):
        high = None if not lo else high
    elif tail in ("以下", "以内"):
        low = None
    cls, name, factor = _unit(unit or "", hi, mult, percent=bool(pct))
    low = None if low is None else round(low * factor, 10)
    high = None if high is None else round(high * factor, 10)
    if low is not None and high is not None and low > high:
        low, high = high, low
    return cls, name, low, high


def _unit(text: str, number: str, multiple: str, *, percent: bool) -> tuple[str, str, float]:
    if percent:
        return "num_pct", "fraction", 0.01
    if text == "年" and "亿" in multiple:
        text = ""  # 三千四百亿年中到位: the year is the next word's
    if text in _UNITS:
        return _UNITS[text]
    if text:
        return ("num_count", "count", 1e4 if text[0] == "万" else 1.0)
    if "亿" in multiple:
        return "num_money", "CNY", 1.0
    if multiple:
        return "num_magnitude", "", 1.0
    if "." in number or "点" in number:
        return "num_ratio", "", 1.0
    return "num_bare", "", 1.0


@lru_cache(maxsize=4096)
def _value(text: str, multiple: str = "") -> tuple[float | None, float | None]:
    """Low and high of one numeral; 三四十 is (30, 40), 几 has no bounds but its multiple's."""
    factor = _MULTIPLES.get(multiple, 1.0)
    if text[0].isdigit():
        value = float(text.replace(",", "")) * factor
        return value, value
    if text.startswith("零点"):
        digit = _DIGITS.get(text[2])
        return (0.1 * factor, 0.9 * factor) if digit is None else (0.1 * digit * factor,) * 2
    if len(text) > 2 and text[1] == "点":  # 一点二五
        value = (_DIGITS[text[0]] + sum(_DIGITS[d] / 10.0**i for i, d in enumerate(text[2:], 1))) * factor
        return value, value
    text = _AGAIN.sub(r"\1", _STUTTER.sub(r"\1", text))
    if pair := _PAIR.match(text):
        tens = _TENS.get(pair[3], 1) * factor
        return _DIGITS[pair[1]] * tens, _DIGITS[pair[2]] * tens
    if text == "上":  # 上万: ten thousand and more
        return factor, None
    text = text.replace("数", "几")
    if "几" in text:
        stem = text.replace("几", "")
        if not stem:  # 几百亿: somewhere from 200 to 900
            return 2 * factor, 9 * factor
        base = _chinese(stem)
        if base is None:
            return None, None
        return (
            (base * 2 * factor, base * 9 * factor)
            if text[0] == "几"
            else (base * factor, (base + 9) * factor)
        )
    value_ = _chinese(text)
    return (None, None) if value_ is None else (value_ * factor, value_ * factor)


def _chinese(text: str) -> float | None:
    total, digit = 0, None
    for c in text:
        if c in _DIGITS:
            digit = _DIGITS[c] if digit is None or digit == 0 else digit * 10 + _DIGITS[c]
        else:
            total += (1 if digit is None else digit) * _TENS[c]
            digit = None
    return float(total + (digit or 0))
