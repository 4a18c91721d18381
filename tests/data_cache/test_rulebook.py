from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backtest.cli import main
from data_cache.errors import IntegrityError, UnknownName, UnknownSymbol, UsageError
from data_cache.limits import _YOUNG, limits
from data_cache.rule_table import RuleRows, deciding, table
from data_cache.rulebook import board, rule, status_expr, status_of_name

CASES = Path(__file__).with_name("rule_cases.csv")


def number(text: str) -> float | None:
    return None if text in ("", "none") else float(text)


def cases(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("case", cases(CASES), ids=lambda c: f"{c['symbol']}-{c['date']}-{c['reference']}")
def test_a_worked_case_is_answered_as_the_exchange_did(case: dict[str, str]) -> None:
    told = rule(
        case["symbol"],
        case["date"],
        prev_close=float(case["reference"]),
        status=case["status"],
        listed_days=int(case["listed_days"]) if case["listed_days"] else None,
    )
    for name in (
        "limit_up",
        "limit_down",
        "buy_lot",
        "buy_step",
        "stamp_duty_buy",
        "stamp_duty_sell",
        "transfer_fee",
    ):
        assert getattr(told, name) == number(case[name]), name
    assert told.board == case["board"]
    assert told.no_limit == (case["limit_up"] == "")


@pytest.mark.realdata
def test_the_shared_cases_pass(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = cases(shared / "facts" / "ashare_rule_cases.csv")
    assert len(found) >= 14
    for case in found:
        days = ["--listed-days", case["nth_day"]] if case["nth_day"] else []
        asked = [
            "rule",
            case["code"],
            case["date"],
            "--prev-close",
            case["prev_close_ref"],
            "--status",
            case["status"],
        ]
        assert main([*asked, *days, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["board"] == case["board"]
        assert told["limit_up"] == number(case["expected_limit_up"]), case
        assert told["limit_down"] == number(case["expected_limit_down"]), case
        for side in ("buy", "sell"):
            assert round(told[f"stamp_duty_{side}"] * 100_000, 2) == float(case[f"stamp_duty_{side}_100000"])
        assert round(told["transfer_fee"] * 100_000, 2) == float(case["transfer_fee_100000_per_side"])
        for size, verdict in (pair.split(":") for pair in case["buy_lots"].split()):
            lot, step = told["buy_lot"], told["buy_step"]
            assert (int(size) >= lot and (int(size) - lot) % step == 0) == (verdict == "valid"), case


@pytest.mark.realdata
def test_the_book_agrees_with_the_shared_one(shared: Path) -> None:
    ours = (Path(__file__).parents[2] / "data_cache" / "data" / "rules.csv").read_bytes()
    assert ours == (shared / "facts" / "ashare_rules.csv").read_bytes()


@pytest.mark.parametrize(
    ("symbol", "date", "expected"),
    [
        ("300750", "2019-01-02", "chinext"),
        ("301236.SZ", "2023-01-03", "chinext"),
        ("302132", "2025-01-02", "chinext"),
        ("688981", "2020-07-16", "star"),
        ("689009", "2020-10-29", "star"),
        ("601899", "2010-01-04", "sse_main"),
        ("605589", "2021-01-04", "sse_main"),
        ("002837", "2017-01-03", "szse_main"),
        ("003816", "2021-01-04", "szse_main"),
        ("430047", "2021-11-15", "bse"),
        ("831010", "2022-01-04", "bse"),
        ("871981", "2025-10-08", "bse"),
        ("889001", "2022-01-04", "bse"),
        ("920808", "2021-11-15", "bse"),
        ("920808", "2024-04-19", "bse"),
        ("920808", "2024-04-22", "bse"),
        ("920808", "2025-10-09", "bse"),
    ],
)
def test_a_code_is_on_its_board(symbol: str, date: str, expected: str) -> None:
    assert board(symbol, date) == expected


@pytest.mark.parametrize(
    ("symbol", "date", "error", "says"),
    [
        ("430047", "2021-11-12", UsageError, "2021-11-15"),
        ("920808", "2021-11-12", UsageError, "2021-11-15"),
        ("830799", "2025-10-09", UsageError, "920 codes after"),
        ("688001", "2019-07-19", UsageError, "2019-07-22"),
        ("300001", "2009-10-29", UsageError, "2009-10-30"),
        ("000300.SH", "2020-01-02", UnknownSymbol, "000300.SH"),
        ("399006.SZ", "2020-01-02", UnknownSymbol, "399006.SZ"),
        ("000001.SH", "2020-01-02", UnknownSymbol, "000001.SH"),
        ("600000.SZ", "2020-01-02", UnknownSymbol, "600000.SZ"),
        ("900901.SH", "2020-01-02", UnknownSymbol, "900901.SH"),
        ("nonsense", "2020-01-02", UnknownSymbol, "nonsense"),
        ("600000", "2020-02-30", UsageError, "needs a date"),
    ],
)
def test_a_code_that_is_on_no_board_is_refused(
    symbol: str, date: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        board(symbol, date)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("英维克", "normal"),
        ("XD英维克", "normal"),
        ("XR佳都科", "normal"),
        ("DR北方创", "normal"),
        ("TCL科技", "normal"),
        ("G申能", "normal"),
        ("寒武纪-U", "normal"),
        (None, "normal"),
        ("ST国创", "st"),
        ("*ST中华A", "st"),
        ("＊ＳＴ恒立", "st"),
        ("XDST海越", "st"),
        ("SST华塑", "st"),
        ("S*ST光明", "st"),
        ("* ST 中华", "st"),
        ("S佳通", "s_share"),
        ("XDS佳通", "s_share"),
        ("退市博元", "delisting_period"),
        ("神城A退", "delisting_period"),
        ("*ST康得退", "delisting_period"),
        ("N上声", "new_listing"),
        ("N九号", "new_listing"),
        ("C朗特", "new_listing"),
        ("NTCL", "new_listing"),
        ("N*ST恒立", "relisting"),
        ("NS佳通", "relisting"),
        ("NST集琦", "relisting"),
    ],
)
def test_a_name_tells_its_status(name: str | None, expected: str) -> None:
    assert status_of_name(name) == expected
    column = pl.DataFrame({"name": [name, "英维克"]}, schema={"name": pl.String})
    assert column.select(status_expr(pl.col("name"))).to_series().to_list() == [expected, "normal"]


BOUNDARIES: list[tuple[str, str, dict[str, Any], tuple[str, Any], tuple[str, Any]]] = [
    # symbol, field, question, the last session before, the first after
    ("300059", "limit_up", {"prev_close": 10.0}, ("2020-08-21", 11.0), ("2020-08-24", 12.0)),
    ("300059", "order_max", {}, ("2020-08-21", None), ("2020-08-24", 300_000)),
    ("920808", "transfer_fee", {}, ("2022-04-28", 0.000025), ("2022-04-29", 0.00001)),
    ("300059", "transfer_fee", {}, ("2022-04-28", 0.00002), ("2022-04-29", 0.00001)),
    ("688001", "transfer_fee", {}, ("2022-04-28", 0.00002), ("2022-04-29", 0.00001)),
    (
        "600000",
        "no_limit",
        {"status": "new_listing", "listed_days": 1},
        ("2023-04-07", False),
        ("2023-04-10", True),
    ),
    (
        "000001",
        "no_limit",
        {"status": "new_listing", "listed_days": 1},
        ("2023-04-07", False),
        ("2023-04-10", True),
    ),
    ("600000", "stamp_duty_sell", {}, ("2023-08-25", 0.001), ("2023-08-28", 0.0005)),
    ("000001", "stamp_duty_sell", {}, ("2023-08-25", 0.001), ("2023-08-28", 0.0005)),
    ("300059", "stamp_duty_sell", {}, ("2023-08-25", 0.001), ("2023-08-28", 0.0005)),
    ("688001", "stamp_duty_sell", {}, ("2023-08-25", 0.001), ("2023-08-28", 0.0005)),
    ("430047", "stamp_duty_sell", {}, ("2023-08-25", 0.001), ("2023-08-28", 0.0005)),
    ("600000", "limit_up", {"prev_close": 10.0, "status": "st"}, ("2026-07-03", 10.5), ("2026-07-06", 11.0)),
    ("000001", "limit_down", {"prev_close": 10.0, "status": "st"}, ("2026-07-03", 9.5), ("2026-07-06", 9.0)),
    (
        "600000",
        "limit_up",
        {"prev_close": 10.0, "status": "s_share"},
        ("2026-07-03", 10.5),
        ("2026-07-06", 10.5),
    ),
    (
        "600000",
        "no_limit",
        {"status": "delisting_period", "listed_days": 1},
        ("2020-12-30", False),
        ("2020-12-31", True),
    ),
    (
        "600000",
        "no_limit",
        {"status": "new_listing", "listed_days": 1},
        ("2013-12-12", True),
        ("2013-12-13", False),
    ),
    ("000001", "st_daily_buy_cap", {"status": "st"}, ("2020-12-30", None), ("2020-12-31", 500_000)),
    ("920808", "st_daily_buy_cap", {"status": "st"}, ("2026-08-28", None), ("2026-08-31", 200_000)),
]


@pytest.mark.parametrize(("symbol", "field", "question", "before", "after"), BOUNDARIES)
def test_a_rule_changes_on_its_day_and_not_a_session_sooner(
    symbol: str, field: str, question: dict[str, Any], before: tuple[str, Any], after: tuple[str, Any]
) -> None:
    for date, expected in (before, after):
        assert getattr(rule(symbol, date, **question), field) == expected, date


@pytest.mark.parametrize(
    ("symbol", "date"),
    [("688001", "2019-07-22"), ("430047", "2021-11-15"), ("920799", "2025-10-09"), ("830799", "2025-10-08")],
)
def test_the_first_and_last_day_of_a_code_are_in_the_book(symbol: str, date: str) -> None:
    day = dt.date.fromisoformat(date)
    assert rule(symbol, day, prev_close=10.0).limit_up is not None
    other = day + dt.timedelta(days=1 if symbol == "830799" else -1)
    if symbol != "920799":
        with pytest.raises(UsageError):
            rule(symbol, other, prev_close=10.0)


def test_a_date_before_the_book_names_where_the_book_begins() -> None:
    with pytest.raises(UsageError, match="begins 2005-01-01"):
        rule("600000", "2004-12-31", prev_close=10.0)
    assert rule("600000", "2005-01-01", prev_close=10.0).limit_up == 11.0


def test_a_day_without_a_session_is_answered_and_said() -> None:
    assert "Saturday, no session" in " ".join(rule("600000", "2020-08-22").remarks)
    assert rule("600000", "2020-08-24").remarks == ()
    assert rule("600519.SH", "2025-10-01").remarks == (
        "2025-10-01 is a holiday of the exchanges, no session; these are the rules in force that day",
    )
    (told,) = rule("600519.SH", "2099-01-05").remarks  # a Monday nobody has decided on
    assert told.startswith("whether 2099-01-05 is a session is not known; the holidays are known up to 20")


def test_what_was_assumed_is_said() -> None:
    assert "first session of the new listing is assumed" in " ".join(
        rule("688001", "2021-01-04", status="new_listing").remarks
    )
    assert "after the first" in " ".join(rule("600000", "2022-01-04", status="delisting_period").remarks)
    old = rule("600000", "2014-06-13", status="new_listing", listed_days=1, prev_close=10.0)
    assert "prev-close is taken as the issue price" in " ".join(old.remarks)
    assert rule("300059", "2021-01-04", status="s_share", prev_close=10.0).doubtful


def test_the_issue_price_is_the_reference_of_the_first_session_only() -> None:
    first = rule(
        "600000", "2014-06-13", status="new_listing", listed_days=1, prev_close=12.0, issue_price=10.0
    )
    second = rule(
        "600000", "2014-06-16", status="new_listing", listed_days=2, prev_close=14.4, issue_price=10.0
    )
    assert (first.limit_up, first.limit_down) == (14.4, 6.4)
    assert (second.limit_up, second.limit_down) == (15.84, 12.96)


@pytest.mark.parametrize(
    ("question", "error", "says"),
    [
        ({"prev_close": -3.0}, UsageError, "prev-close is -3.0"),
        ({"prev_close": 0.0}, UsageError, "prev-close is 0.0"),
        ({"prev_close": float("nan")}, UsageError, "prev-close is nan"),
        ({"prev_close": float("inf")}, UsageError, "prev-close is inf"),
        ({"issue_price": -1.0}, UsageError, "issue-price is -1.0"),
        ({"listed_days": 0}, UsageError, "listed-days is 0"),
        ({"status": "stt"}, UnknownName, "did you mean 'st'"),
    ],
)
def test_a_wrong_question_is_refused_with_its_evidence(
    question: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        rule("600000", "2020-01-02", **question)


def test_the_deciding_rows_are_the_ones_that_hold_and_name_their_source() -> None:
    told = rule("300090", "2020-08-24", status="delisting_period", listed_days=30, prev_close=0.12)
    day = dt.date(2020, 8, 24)
    for row in told.rules:
        assert row["source_name"]
        assert row["confidence"]
        assert row["valid_from"] <= day <= (row["valid_to"] or dt.date.max)  # type: ignore[operator]
    ratio = next(row for row in told.rules if row["rule"] == "price_limit_up_ratio")
    assert ratio["symbol"] == "300090.SZ"
    assert ratio["value"] == "0.10"


def test_a_first_day_names_the_row_that_frees_it_and_no_ratio() -> None:
    names = [row["rule"] for row in rule("688001", "2019-07-22", status="new_listing", listed_days=1).rules]
    assert "no_limit_days_after_listing" in names
    assert "price_limit_up_ratio" not in names


def test_doubt_is_marked_and_named() -> None:
    shaky = rule("300362", "2014-01-21", status="new_listing", listed_days=1, prev_close=12.0)
    assert shaky.doubtful
    assert "first_day_limit_up" in shaky.marked
    assert not rule("600000", "2021-01-04", prev_close=10.0).doubtful
    assert rule("889001", "2022-01-04", prev_close=10.0).doubtful  # the prefix itself is knowledge_medium
    penny = rule("920808", "2024-01-04", prev_close=0.03)
    assert penny.doubtful  # the least move of one tick in Beijing was not read, and here it decides
    assert not rule("920808", "2024-01-04", prev_close=10.0).doubtful


def test_no_rule_frees_more_sessions_than_the_panel_looks_at() -> None:
    freed = table().filter(pl.col("rule").str.starts_with("no_limit")).get_column("value").cast(pl.Int64)
    assert freed.max() == _YOUNG


@pytest.mark.filterwarnings("ignore:Series.values returning:Warning")  # exchange_calendars under pandas 3.1
def test_no_holiday_lies_within_five_sessions_after_a_change_of_a_first_days_rule() -> None:
    # listing days are counted back in weekdays; this is what makes that exact
    import exchange_calendars

    sessions = set(exchange_calendars.get_calendar("XSHG", start="2005-01-04").sessions.date)
    rules = ["no_limit_days_after_listing", "no_limit_days_delisting_period", "first_day_limit_up"]
    changes = table().filter(pl.col("rule").is_in(rules)).get_column("valid_from").unique().to_list()
    for change in changes:
        if change <= dt.date(2012, 5, 1):
            continue  # where a rule only begins there is nothing before it to be mistaken for
        weekdays = [change + dt.timedelta(days=n) for n in range(8)]
        if change == dt.date(2020, 12, 31):
            continue  # frees one session only: the day itself
        missing = [day for day in weekdays if day.weekday() < 5 and day not in sessions]
        assert not missing, change


def test_a_broken_table_names_the_rule_it_breaks() -> None:
    broken = table().with_columns(valid_to=pl.lit(dt.date(1980, 1, 1)))
    _, bad = RuleRows.filter(broken)
    assert bad.counts() == {"window_is_ordered": table().height}
    twice = pl.concat([table(), table().with_columns(pl.col("row") + 10_000)])
    _, bad = RuleRows.filter(twice)
    assert set(bad.counts()) == {"windows_do_not_overlap"}
    assert issubclass(IntegrityError, Exception)


def test_every_name_mark_of_the_book_is_understood() -> None:
    made = {"prefix 退市": "退市海润", "suffix 退": "海润退", "S prefix (not ST)": "S佳通"}
    made["*ST = delisting risk; ST = other risk; SST/S*ST = also unreformed"] = "S*ST海润"
    made["N day 1; C days 2-5 (registration boards); XD/XR/DR on ex-date"] = "N海润"
    for row in table().filter(pl.col("rule") == "name_marker").iter_rows(named=True):
        assert status_of_name(made[row["value"]]) == row["status"]


def test_an_exception_outranks_the_board_and_the_status_outranks_any() -> None:
    day = dt.date(2020, 9, 1)
    own = deciding("price_limit_up_ratio", "300216.SZ", "delisting_period", day)
    assert own is not None
    assert own.value == "0.10"
    board_wide = deciding("price_limit_up_ratio", "300217.SZ", "delisting_period", day)
    assert board_wide is not None
    assert board_wide.value == "0.20"


def test_the_command_prints_a_table_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "300999.SZ", "2020-08-24", "--prev-close", "3.33"]) == 0
    out = capsys.readouterr().out
    assert "4.00" in out
    assert "2.66" in out
    assert "price_limit_up_ratio" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["300999.SZ", "2020-08-24", "--prev-close", "-3"],
        ["abc", "2020-08-24"],
        ["300999.SZ", "soon"],
        ["300999.SZ", "2004-08-24"],
        ["300999.SZ", "2020-08-24", "--status", "stt"],
        ["300999.SZ", "2020-08-24", "--listed-days", "-1"],
    ],
)
def test_the_command_refuses_with_code_2_and_no_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rule", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error:")


def test_a_panel_row_outside_the_book_is_null_and_marked_or_refused() -> None:
    frame = pl.DataFrame(
        {
            "symbol": ["600000.SH", "920808.BJ", "000300.SH"],
            "date": [dt.date(2020, 1, 2)] * 3,
            "reference": [10.0, 10.0, 10.0],
        }
    )
    told = limits(frame)
    assert told["board"].to_list() == ["sse_main", None, None]
    assert told["limit_up"].to_list() == [11.0, None, None]
    assert told["doubtful"].to_list() == [False, True, True]
    with pytest.raises(UsageError, match=r"920808.BJ on 2020-01-02 .*\(2 such rows\)"):
        limits(frame, outside="raise")


def test_a_panel_row_with_a_bad_reference_is_named() -> None:
    frame = pl.DataFrame(
        {
            "symbol": ["600000.SH"] * 2,
            "date": [dt.date(2020, 1, 2), dt.date(2020, 1, 3)],
            "reference": [None, -1.0],
        }
    )
    with pytest.raises(UsageError, match=r"reference is -1.0 for 600000.SH on 2020-01-03"):
        limits(frame)
    assert limits(frame.head(1))["limit_up"].to_list() == [None]
    with pytest.raises(UsageError, match="missing \\['reference'\\]"):
        limits(frame.drop("reference"))
    with pytest.raises(UsageError, match="listed_days is 0"):
        limits(frame.head(1).with_columns(listed_days=0))


@pytest.mark.parametrize("date", [dt.date.min, dt.date(1899, 12, 31), dt.date.max])
def test_a_date_far_away_is_not_mistaken_for_another_status(date: dt.date) -> None:
    frame = pl.DataFrame(
        {"symbol": ["600000.SH", "000001.SZ"], "date": [date] * 2, "status": ["s_share", "normal"]}
    )
    told = limits(frame.with_columns(reference=10.0))
    assert told["limit_up"].to_list() == ([10.5, 11.0] if date == dt.date.max else [None, None])


def test_an_empty_panel_stays_empty() -> None:
    frame = pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date, "reference": pl.Float64})
    told = limits(frame)
    assert told.height == 0
    assert told.schema["limit_up"] == pl.Float64
