"""When an event happened, where the text says so: 去年, 上周, 三季度, 2024年3月, resolved against the note's date.

A period gives its first day: 去年 in a note of 2025 is 2024-01-01. What the text does not date stays null.
"""

from __future__ import annotations

import datetime as dt
import re

__all__ = ["occurred_on"]

_DATE = re.compile(
    r"(?=[\d第一二三四五六七八九十q前去今明后上本这下昨])(?:"  # fail fast: most characters begin no date
    r"(?P<year>(?:19|20)\d\d)(?:年|[-./])(?:(?P<month>\d{1,2})(?:月|[-./])(?:(?P<day>\d{1,2})日?)?|"
    r"(?:第?(?P<quarter>[一二三四1-4])季度?|(?P<half>[上下])半年))?"
    r"|(?P<q>[12一二三四34])(?:季度|季报)|(?<![\d.])(?P<qq>[1-4])q(?P<qy>\d\d)?(?!\d)|q(?P<q2>[1-4])(?!\d)"
    r"|(?P<m>\d{1,2}|[一二三四五六七八九十]{1,2})月(?:(?P<d>\d{1,2})[日号]|份|底|初)?"
    r"|(?P<rel>前年|去年|今年|明年|后年|上周|本周|这周|下周|上个月|上月|本月|这个月|下个月|下月|上季度|本季度|下季度|昨天|昨晚|昨日|今天|今早|前天|明天)"
    r"(?:的?(?:(?P<rm>\d{1,2}|[一二三四五六七八九十]{1,2})月份?|(?P<rq>[一二三四1-4])季度|(?P<rh>[上下])半年|(?P<end>年底)))?)"
)
_CN = {c: i for i, c in enumerate("一二三四五六七八九十", 1)} | {"十一": 11, "十二": 12}
_YEARS = {"前年": -2, "去年": -1, "今年": 0, "明年": 1, "后年": 2}
_MONTHS = {"上个月": -1, "上月": -1, "本月": 0, "这个月": 0, "下个月": 1, "下月": 1}
_WEEKS = {"上周": -1, "本周": 0, "这周": 0, "下周": 1}
_DAYS = {"昨天": -1, "昨晚": -1, "昨日": -1, "今天": 0, "今早": 0, "前天": -2, "明天": 1}
_QUARTERS = {"上季度": -1, "本季度": 0, "下季度": 1}


def occurred_on(text: str, told: dt.date) -> dt.date | None:
    """The first day of the first period named in ``text``, squeezed; null where none is.

    >>> occurred_on("去年的机柜推迟", dt.date(2025, 8, 31)).isoformat()
    '2024-01-01'
    """
    for m in _DATE.finditer(text):
        try:
            if day := _resolve(m, told):
                return day
        except (ValueError, OverflowError):
            continue
    return None


def _resolve(m: re.Match[str], told: dt.date) -> dt.date | None:
    if m["year"]:
        month = int(m["month"] or 0) or _quarter(m["quarter"]) or (7 if m["half"] == "下" else 1)
        return dt.date(int(m["year"]), month, int(m["day"] or 1))
    if quarter := m["q"] or m["qq"] or m["q2"]:
        year = 2000 + int(m["qy"]) if m["qy"] else told.year
        return dt.date(year, _quarter(quarter) or 1, 1)
    if m["m"]:
        month = _number(m["m"])
        # a bare month is the nearest one to the note, past or coming within half a year
        year = told.year - 1 if month - told.month > 6 else told.year + (told.month - month > 9)
        return dt.date(year, month, int(m["d"] or 1))
    return _relative(m, told)


def _relative(m: re.Match[str], told: dt.date) -> dt.date | None:
    word = m["rel"]
    if word in _YEARS:
        month = (
            _number(m["rm"])
            if m["rm"]
            else _quarter(m["rq"]) or (7 if m["rh"] == "下" else 12 if m["end"] else 1)
        )
        return dt.date(told.year + _YEARS[word], month, 1)
    if word in _MONTHS:
        return _month(told, _MONTHS[word])
    if word in _QUARTERS:
        return _month(told.replace(month=(told.month - 1) // 3 * 3 + 1), 3 * _QUARTERS[word])
    if word in _WEEKS:
        return told - dt.timedelta(days=told.weekday()) + dt.timedelta(weeks=_WEEKS[word])
    return told + dt.timedelta(days=_DAYS[word])


def _month(day: dt.date, months: int) -> dt.date:
    index = day.year * 12 + day.month - 1 + months
    return dt.date(index // 12, index % 12 + 1, 1)


def _quarter(text: str | None) -> int | None:
    return None if text is None else (_number(text) - 1) * 3 + 1


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _CN.get(text, 0)
