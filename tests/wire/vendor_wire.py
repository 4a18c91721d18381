"""A small true market, and every vendor's way of telling it over the wire to unmodified akshare.

``answer(market, url, body)`` is what the vendor behind ``url`` would send: status, headers, bytes.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qs, urlsplit

import sina_codec
from sina_codec import Row

from data_cache.calendar import xshg_sessions

Answer = tuple[int, dict[str, str], bytes]

EX_DAY = dt.date(2024, 6, 13)
FIRST, LAST = dt.date(2024, 5, 6), dt.date(2024, 6, 28)
HOSTS = {
    "em": ("push2his.eastmoney.com",),
    "em data": ("datacenter-web.eastmoney.com",),
    "tx": ("proxy.finance.qq.com", "web.ifzq.gtimg.cn"),
    "sina": ("finance.sina.com.cn", "stock.finance.sina.com.cn"),
    "sse": ("query.sse.com.cn",),
    "szse": ("www.szse.cn",),
    "bse": ("www.bse.cn",),
}


@cache
def sessions() -> list[dt.date]:
    return xshg_sessions().to_list()


@cache
def days() -> list[dt.date]:
    return [d for d in sessions() if FIRST <= d <= LAST]


def walk(price: float, shares: int, ex: dict[dt.date, tuple[float, float]] | None = None) -> list[Row]:
    """Deterministic bars: moves of at most 2 % a day, volumes in whole lots, an average price within the day."""
    rows: list[Row] = []
    close = price
    for n, day in enumerate(days()):
        cash, grown = (ex or {}).get(day, (0.0, 1.0))
        reference = (close - cash) / grown
        opened = round(reference * (1 + 0.003 * ((n * 7) % 5 - 2)), 2)
        close = round(opened * (1 + 0.004 * ((n * 3) % 7 - 3)), 2)
        high, low = round(max(opened, close) + 0.11, 2), round(min(opened, close) - 0.07, 2)
        volume = shares + 100 * ((n * 911) % 4001)
        rows.append((day, opened, high, low, close, volume, round(volume * (opened + close) / 2)))
    return rows


@dataclass
class Market:
    """What is true; tests change it between runs.

    bars: by six digits. actions: ex-date, cash, bonus, transfer per ten. factors: newest last, without the
    1900 row. suspended: code, start, end or None, span, reason. changes: Shenzhen's date, code, before, after.
    share_changes: Sina's dates of a changed share count. through: no bar is told after it.
    """

    bars: dict[str, list[Row]]
    index: dict[str, list[Row]]
    actions: dict[str, list[tuple[str, float, float, float]]] = field(default_factory=dict)
    factors: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    suspended: list[tuple[str, str, str | None, str, str]] = field(default_factory=list)
    changes: list[tuple[str, str, str, str]] = field(default_factory=list)
    share_changes: list[str] = field(default_factory=lambda: ["2017-01-05"])
    listed: dict[str, tuple[str, str]] = field(default_factory=dict)
    delisted: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    through: dt.date = LAST

    def of(self, code: str) -> list[Row]:
        return [row for row in self.bars[code] if row[0] <= self.through]


def small_market() -> Market:
    """Four companies: one with a dividend, one whose code starts with 000, one in Shanghai, one in Beijing."""
    before = next(r for r in reversed(walk(61.2, 1)) if r[0] < EX_DAY)[4]
    step = before * 1.3 / (before - 0.2)
    index = {
        code: [
            (d, p + n, p + 10.5 + n, p - 9.75 + n, p + 5.75 + n, 100_000_000 + n * 1000, 0)
            for n, d in enumerate(days())
        ]
        for code, p in (("000300", 3600.123), ("000905", 5400.5), ("000852", 5300.25), ("399006", 1800.0))
    }  # fmt: skip
    return Market(
        bars={
            "002837": walk(61.2, 14_000_000, {EX_DAY: (0.2, 1.3)}),
            "000063": walk(27.3, 60_000_000),
            "603019": walk(45.6, 21_000_000),
            "920808": walk(38.5, 900_000),
        },
        index=index,
        actions={
            "002837": [("2024-06-13", 2.0, 1.0, 2.0), ("2023-05-19", 3.0, 0.0, 3.0), ("", 1.0, 0.0, 0.0)],
        },
        factors={"002837": [("2023-05-19", 1.5), ("2024-06-13", 1.5 * step)]},
        changes=[("2020-05-06", "002837", "英维克A", "ST英维"), ("2021-05-06", "002837", "ST英维", "英维克")],
        listed={
            "002837": ("英维克", "2016-12-29"), "000063": ("中兴 通讯", "1997-11-18"),
            "603019": ("中科曙光", "2014-11-06"), "920808": ("曙光数创", "2022-11-18"),
            **{f"30{n:04d}": (f"填充{n}", "2010-01-04") for n in range(1, 12)},
        },
        delisted={
            "600001": ("邯郸钢铁", "1998-01-22", "2009-12-29"),
            "000003": ("PT金田A", "1991-01-14", "2002-06-14"),
        },
    )  # fmt: skip


def answer(market: Market, url: str, body: str = "") -> Answer:
    parts = urlsplit(url)
    query = {k: v[0] for k, v in parse_qs(parts.query).items()}
    host = parts.hostname or ""
    for name, tell in (
        ("push2his", _em_bars), ("datacenter-web", _em_data), ("qq.com", _tencent), ("gtimg", _tencent),
        ("sina", _sina), ("sse.com", _sse), ("szse", _szse), ("bse.cn", _bse),
    ):  # fmt: skip
        if name in host:
            status, text = tell(market, parts.path, query)
            return status, {}, text if isinstance(text, bytes) else text.encode()
    raise AssertionError(f"no vendor is known at {url}")


def _em_bars(market: Market, path: str, query: dict[str, str]) -> tuple[int, str]:
    place, code = query["secid"].split(".")
    is_index = len(query["fields2"].split(",")) == 8
    known = market.index if is_index else market.bars
    if code not in known or (not is_index and place != ("1" if code[0] == "6" else "0")):
        return 200, json.dumps({"rc": 100, "rt": 17, "data": None})
    lines, before = [], None
    for day, opened, high, low, close, shares, yuan in market.index[code] if is_index else market.of(code):
        before = before or opened
        if query["beg"] <= f"{day:%Y%m%d}" <= query["end"]:
            prices = f"{day},{opened},{close},{high},{low},{shares // 100},{yuan:.2f}"
            change = f"{(high - low) / before * 100:.2f},{(close / before - 1) * 100:.2f},{close - before:.2f},1.55"
            lines.append(f"{prices},0.50" if is_index else f"{prices},{change}")
        before = close
    data = {"code": code, "market": int(place), "name": code, "decimal": 2, "dktotal": 9, "klines": lines}
    return 200, json.dumps(
        {"rc": 0, "rt": 17, "svr": 181669437, "lt": 1, "full": 0, "dlmkts": "", "data": data}
    )


def _em_data(market: Market, path: str, query: dict[str, str]) -> tuple[int, str]:
    if query["reportName"] == "RPT_SHAREBONUS_DET":
        code = re.findall(r"\d{6}", query["filter"])[0]
        rows = [_bonus(code, *action) for action in market.actions.get(code, [])]
    else:
        day = re.findall(r"\d{4}-\d{2}-\d{2}", query["filter"])[0]
        rows = [_halt(*h) for h in market.suspended if h[1] <= day and (h[2] is None or day <= h[2])]
    if not rows:
        return 200, json.dumps(
            {"version": None, "result": None, "success": False, "message": "返回数据为空", "code": 9201}
        )
    result = {"pages": 1, "data": rows, "count": len(rows)}
    return 200, json.dumps({"version": "x", "result": result, "success": True, "message": "ok", "code": 0})


def _bonus(code: str, ex: str, cash: float, bonus: float, transfer: float) -> dict[str, object]:
    when = f"{ex} 00:00:00" if ex else None
    names = [
        "SECUCODE", "SECURITY_NAME_ABBR", "SECURITY_CODE", "ORG_CODE", "SECURITY_INNER_CODE", "BONUS_IT_RATIO",
        "BONUS_RATIO", "IT_RATIO", "PRETAX_BONUS_RMB", "PUBLISH_DATE", "EQUITY_RECORD_DATE", "EX_DIVIDEND_DATE",
        "REPORT_DATE", "ASSIGN_PROGRESS", "IMPL_PLAN_PROFILE", "NOTICE_DATE", "A", "B", "C", "BASIC_EPS", "BVPS",
        "PER_CAPITAL_RESERVE", "PER_UNASSIGN_PROFIT", "PNP_YOY_RATIO", "TOTAL_SHARES", "PLAN_NOTICE_DATE",
        "DIVIDENT_RATIO", "D", "E", "F",
    ]  # fmt: skip
    row: dict[str, object] = dict.fromkeys(names)
    row |= {
        "SECURITY_CODE": code, "BONUS_IT_RATIO": bonus + transfer, "BONUS_RATIO": bonus or None,
        "IT_RATIO": transfer or None, "PRETAX_BONUS_RMB": cash or None, "EX_DIVIDEND_DATE": when,
        "EQUITY_RECORD_DATE": when and when.replace("-13 ", "-12 "), "REPORT_DATE": "2023-12-31 00:00:00",
        "NOTICE_DATE": "2024-06-06 00:00:00", "ASSIGN_PROGRESS": "实施分配" if ex else "董事会预案",
    }  # fmt: skip
    return row


def _halt(code: str, start: str, end: str | None, span: str, reason: str) -> dict[str, object]:
    return {
        "SECURITY_CODE": code, "SECURITY_NAME_ABBR": code, "SUSPEND_START_TIME": f"{start} 09:30:00",
        "SUSPEND_END_TIME": end and f"{end} 15:00:00", "SUSPEND_EXPIRE": span, "SUSPEND_REASON": reason,
        "TRADE_MARKET": "深交所", "SUSPEND_START_DATE": f"{start} 00:00:00", "PREDICT_RESUME_DATE": None,
        "TRADE_MARKET_CODE": "0", "SECURITY_TYPE_CODE": "058001001", "SECUCODE": code,
    }  # fmt: skip


def _tencent(market: Market, path: str, query: dict[str, str]) -> tuple[int, str]:
    if path.endswith("weekTrends"):
        code = query["code"][2:]
        first = [[str(market.bars[code][0][0]), "1.0"]] if code in market.bars else []
        return 200, f"{query['_var']}=" + json.dumps({"code": 0, "msg": "", "data": first})
    symbol, _day, low, high, _count, _adjust = [*query["param"].split(","), ""][:6]
    if symbol[2:] not in market.bars:
        return 200, f"{query['_var']}=" + json.dumps({"code": 1, "msg": "bad params", "data": []})
    rows = [
        [
            str(d),
            f"{o:.2f}",
            f"{c:.2f}",
            f"{h:.2f}",
            f"{lo:.2f}",
            f"{v / 100:.3f}",
            {},
            "1.55",
            f"{a / 1e4:.4f}",
            "",
        ]
        for d, o, h, lo, c, v, a in market.of(symbol[2:])
        if low <= str(d) <= high
    ]
    data = {symbol: {"day": rows, "qt": {}, "prec": "1.23", "version": "16"}}
    return 200, f"{query['_var']}=" + json.dumps({"code": 0, "msg": "", "data": data})


def _sina(market: Market, path: str, query: dict[str, str]) -> tuple[int, str]:
    if path.endswith("klc_td_sh.txt"):
        return 200, f'var datelist="{_packed_calendar()}";KLC_TD_SH=datelist;'
    found = re.search(r"(?:sz|sh|bj)(\d{6})", path + query.get("symbol", ""))
    assert found, path
    symbol, code = found[0], found[1]
    if path.endswith("hisdata/klc_kl.js"):
        return 200, f'var KLC_KL_{symbol}="{sina_codec.index_bars(market.index[code])}";'
    if code not in market.bars:
        return 404, "<html>404</html>"
    if path.endswith("hisdata_klc2/klc_kl.js"):
        return 200, f'var KLC_K2_{symbol}="{sina_codec.stock_bars(market.of(code), 1.23)}";'
    if path.endswith("/hfq.js"):
        rows = [{"d": d, "f": f"{f:.16f}"} for d, f in [("1900-01-01", 1.0), *market.factors.get(code, [])]]
        table = json.dumps({"total": len(rows), "data": rows[::-1]})
        return 200, f"var {symbol}hfq={table}\n/* for a person to read */"
    changes = ",".join(f'{{date:"{d}",amount:"74000.5"}}' for d in sorted(market.share_changes, reverse=True))
    return (
        200,
        f"/*<script>location.href='//sina.com';</script>*/\nvar KKE_ShareAmount_{symbol}=([{changes}]);",
    )


@cache
def _packed_calendar() -> str:
    return sina_codec.calendar([d for d in sessions() if d != dt.date(1992, 5, 4)])  # akshare adds that one


def _sse(market: Market, path: str, query: dict[str, str]) -> tuple[int, str]:
    if query["COMPANY_STATUS"] == "3":
        rows = [
            {"COMPANY_CODE": c, "COMPANY_ABBR": n, "LIST_DATE": a, "DELIST_DATE": b}
            for c, (n, a, b) in market.delisted.items()
            if c[0] == "6"
        ]
    else:
        star = query["STOCK_TYPE"] == "8"
        rows = [
            {
                "A_STOCK_CODE": c,
                "SEC_NAME_CN": n,
                "SEC_NAME_FULL": n,
                "COMPANY_ABBR": n,
                "FULL_NAME": n,
                "LIST_DATE": d,
            }
            for c, (n, d) in [*market.listed.items(), ("688256", ("寒武纪", "2020-07-20"))]
            if c[0] == "6" and (c[:3] == "688") == star
        ]
    return 200, json.dumps({"result": rows})


def _szse(market: Market, path: str, query: dict[str, str]) -> tuple[int, bytes]:
    if query["CATALOGID"] == "1110":
        head = [
            "板块",
            "公司全称",
            "A股代码",
            "A股简称",
            "A股上市日期",
            "A股总股本",
            "A股流通股本",
            "所属行业",
        ]
        rows = [["主板", n, c, n, d, "1", "1", "C"] for c, (n, d) in market.listed.items() if c[0] in "03"]
    elif query["CATALOGID"] == "1793_ssgs":
        head = ["证券代码", "证券简称", "上市日期", "终止上市日期"]
        rows = [[c, n, a, b] for c, (n, a, b) in market.delisted.items() if c[0] in "03"]
    else:
        head = ["变更日期", "证券代码", "证券简称", "变更前简称", "变更后简称"]
        rows = [[d, c, after, before, after] for d, c, before, after in market.changes]
    return 200, _workbook((tuple(head), *map(tuple, rows)))


@cache
def _workbook(rows: tuple[tuple[str, ...], ...]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _bse(market: Market, path: str, query: dict[str, str]) -> tuple[int, str]:
    content = []
    for code, (name, date) in market.listed.items():
        if code[0] == "9":
            row: dict[str, object] = {f"k{n:02d}": None for n in range(48)}
            row |= {"k00": date.replace("-", ""), "k22": "20240628", "k38": code, "k40": name}
            content.append(row)
    return 200, f"null({json.dumps([{'totalPages': 1, 'content': content}])})"
