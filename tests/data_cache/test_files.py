"""Other vendors' spellings of the same week of bars come out as one frame."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import gzip
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_cache.errors import AshareError, IntegrityError, UnknownSymbol, UsageError
from data_cache.files import read_table

BARS = """symbol,date,open,high,low,close,volume,amount
002837.SZ,2024-01-02,25.10,25.60,24.90,25.30,1200000,30300000
002837.SZ,2024-01-03,25.30,25.90,25.00,25.80,1500000,38250000
600519.SH,2024-01-02,1715.00,1718.19,1678.10,1685.01,32156,54397000
600519.SH,2024-01-03,1681.11,1695.22,1676.33,1694.00,20220,34108000
"""


def write(folder: Path, text: str, name: str = "daily.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def one(path: Path, **how: str) -> pl.DataFrame:
    (table,) = read_table(path, **how)  # type: ignore[arg-type]
    return table.frame


@pytest.fixture
def plain(tmp_path: Path) -> pl.DataFrame:
    return one(write(tmp_path, BARS, "plain.csv"))


def test_the_plain_spelling(plain: pl.DataFrame) -> None:
    assert plain.schema == {
        "symbol": pl.String, "date": pl.Date, "open": pl.Float64, "high": pl.Float64, "low": pl.Float64,
        "close": pl.Float64, "volume": pl.Int64, "amount": pl.Float64,
    }  # fmt: skip
    by_hand = [
        (s, dt.date.fromisoformat(d), *map(float, p), int(v), float(a))
        for s, d, *p, v, a in list(csv.reader(BARS.splitlines()))[1:]
    ]
    assert plain.rows() == by_hand


def _tushare(frame: pl.DataFrame) -> str:
    return frame.select(
        pl.col("symbol").alias("ts_code"),
        pl.col("date").dt.strftime("%Y%m%d").alias("trade_date"),
        *("open", "high", "low", "close"),
        (pl.col("volume") / 100).alias("vol"),
        (pl.col("amount") / 1000).alias("amount"),
    ).write_csv()


def _chinese(frame: pl.DataFrame) -> str:
    return frame.select(
        pl.col("date").dt.strftime("%Y/%-m/%-d").alias("日期"),
        pl.col("symbol").str.head(6).alias("股票代码"),
        pl.col("open").alias("开盘"), pl.col("close").alias("收盘"),
        pl.col("high").alias("最高"), pl.col("low").alias("最低"),
        (pl.col("volume") / 100).alias("成交量(手)"), pl.col("amount").alias("成交额(元)"),
    ).write_csv()  # fmt: skip


def test_tushare_lots_and_thousands(plain: pl.DataFrame, tmp_path: Path) -> None:
    found = one(write(tmp_path, _tushare(plain)))
    assert found.select(pl.exclude("amount")).equals(plain.select(pl.exclude("amount")))
    assert found["amount"].to_list() == pytest.approx(plain["amount"].to_list(), rel=1e-12)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_chinese_headings_in_every_encoding(plain: pl.DataFrame, tmp_path: Path, encoding: str) -> None:
    assert one(write(tmp_path, _chinese(plain), encoding=encoding)).equals(plain)


def test_descending_dates_are_the_same_rows(plain: pl.DataFrame, tmp_path: Path) -> None:
    found = one(write(tmp_path, _chinese(plain.reverse())))
    assert found.sort("symbol", "date").equals(plain)


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_other_separators(plain: pl.DataFrame, tmp_path: Path, separator: str) -> None:
    assert one(write(tmp_path, BARS.replace(",", separator))).equals(plain)


def test_gzip_and_parquet(plain: pl.DataFrame, tmp_path: Path) -> None:
    zipped = tmp_path / "daily.csv.gz"
    zipped.write_bytes(gzip.compress(BARS.encode()))
    plain.write_parquet(tmp_path / "daily.parquet")
    assert one(zipped).equals(plain)
    assert one(tmp_path / "daily.parquet").equals(plain)


@pytest.mark.parametrize("empty", ["None", "", "-", "NaN", "null", "--"])
def test_unknown_amounts_are_null(plain: pl.DataFrame, tmp_path: Path, empty: str) -> None:
    found = one(write(tmp_path, BARS.replace(",38250000", f",{empty}")))
    assert found["amount"].to_list() == [30300000.0, None, 54397000.0, 34108000.0]
    assert found.drop("amount").equals(plain.drop("amount"))


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_other_line_endings_keep_their_line_numbers(plain: pl.DataFrame, tmp_path: Path, ending: str) -> None:
    assert one(write(tmp_path, BARS.replace("\n", ending))).equals(plain)
    with pytest.raises(IntegrityError, match="line 3"):
        read_table(write(tmp_path, BARS.replace("25.80", "x").replace("\n", ending)))


def test_an_open_quotation_mark_is_one_clear_error(tmp_path: Path) -> None:
    rows = BARS.splitlines()[1] + "\n"
    text = BARS.replace("002837.SZ,2024-01-03", '"002837.SZ,2024-01-03') + rows * 4000
    with pytest.raises(AshareError, match=r"daily\.csv"):
        read_table(write(tmp_path, text))


def test_grouped_digits(plain: pl.DataFrame, tmp_path: Path) -> None:
    assert one(write(tmp_path, BARS.replace("1200000", '"1,200,000"'))).equals(plain)


def test_mapped_headings(plain: pl.DataFrame, tmp_path: Path) -> None:
    odd = BARS.replace("date,", "成交日,", 1).replace("close", "最新价", 1)
    assert one(write(tmp_path, odd), columns="date=成交日, close=最新价").equals(plain)


def test_integer_codes_get_their_zeros_back(plain: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    plain.with_columns(pl.col("symbol").str.head(6).cast(pl.Int64)).write_parquet(path)
    assert one(path).equals(plain)


def test_pandas_nan_and_nanosecond_dates(plain: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "pandas.parquet"
    frame = plain.to_pandas().astype({"date": "datetime64[ns]", "volume": "float64"})
    frame.loc[1, "amount"] = float("nan")
    frame.to_parquet(path)
    assert one(path)["amount"].to_list() == [30300000.0, None, 54397000.0, 34108000.0]
    assert one(path).drop("amount").equals(plain.drop("amount"))


@pytest.mark.parametrize("name", ["SZ002837.csv", "002837.SZ.csv", "daily_002837_2024.csv"])
def test_the_symbol_from_the_files_name(tmp_path: Path, name: str) -> None:
    rows = [line.partition(",")[2] for line in BARS.splitlines()[:3]]
    (table,) = read_table(write(tmp_path, "\n".join(rows) + "\n", name))
    assert table.frame["symbol"].to_list() == ["002837.SZ"] * 2
    assert "all rows taken as 002837.SZ" in table.remarks


def test_the_symbol_from_the_flag_or_a_refusal(tmp_path: Path) -> None:
    rows = [line.partition(",")[2] for line in BARS.splitlines()[:3]]
    path = write(tmp_path, "\n".join(rows) + "\n")
    assert one(path, symbol="sz002837")["symbol"].unique().to_list() == ["002837.SZ"]
    with pytest.raises(UsageError, match=r"'symbol'.*--symbol"):
        read_table(path)


# ------------------------------------------------------------------ kinds


def test_indices_and_stocks_part(tmp_path: Path) -> None:
    mixed = "code,date,open,high,low,close,volume\n" + "".join(
        f"{code},2024-01-0{day},10.1,10.2,10.0,10.1,100\n"
        for code in ("sh.000300", "sz.399006", "sh000001", "sz000001", "bj899050")
        for day in (2, 3)
    )
    tables = {table.kind: table for table in read_table(write(tmp_path, mixed))}
    assert sorted(tables["index_bars"].frame["symbol"].unique()) == [
        "000001.SH", "000300.SH", "399006.SZ", "899050.BJ",
    ]  # fmt: skip
    assert tables["bars"].frame["symbol"].unique().to_list() == ["000001.SZ"]
    assert tables["index_bars"].basis is None


def test_index_bars_need_no_volume_but_stocks_do(tmp_path: Path) -> None:
    text = "symbol,date,open,high,low,close\n{},2024-01-02,3.1,3.2,3.0,3.1\n"
    (table,) = read_table(write(tmp_path, text.format("399001.SZ")))
    assert (table.kind, table.frame["volume"].to_list()) == ("index_bars", [None])
    with pytest.raises(UsageError, match=r"'volume'.*--map volume=.*000300\.SH"):
        read_table(write(tmp_path, text.format("000300")))


def test_factors_daily_ones_keep_their_changes(tmp_path: Path) -> None:
    text = "ts_code,trade_date,adj_factor\n" + "".join(
        f"002837.SZ,2024010{day},{factor}\n" for day, factor in [(5, 2.5), (4, 2.5), (3, 1.0), (2, 1.0)]
    )
    (table,) = read_table(write(tmp_path, text))
    assert table.kind == "factors"
    assert table.frame.select("date", "factor").rows() == [
        (dt.date(2024, 1, 2), 1.0), (dt.date(2024, 1, 4), 2.5),
    ]  # fmt: skip


def test_forward_factors_are_refused(tmp_path: Path) -> None:
    text = "symbol,date,factor\n002837.SZ,2024-01-02,2.5\n002837.SZ,2024-01-03,1.0\n"
    with pytest.raises(UsageError, match="forward"):
        read_table(write(tmp_path, text))


def test_bars_with_a_factor_and_names_give_three_tables(tmp_path: Path) -> None:
    head, *rows = BARS.splitlines()
    text = "\n".join(
        [head + ",adj_factor,名称", *(f"{r},{1 + i % 2},公司{i // 2}" for i, r in enumerate(rows))]
    )
    found = {t.kind: t.frame for t in read_table(write(tmp_path, text + "\n"))}
    assert found["bars"].height == 4
    assert found["factors"]["factor"].to_list() == [1.0, 2.0, 1.0, 2.0]
    assert found["name_history"]["name"].to_list() == ["公司0", "公司1"]


def test_the_smaller_tables(tmp_path: Path) -> None:
    texts = {
        "corporate_actions": "symbol,ex_date,cash,transfer\n002837,2024-05-27,0.2,0.3\n",
        "name_history": "ts_code,name,start_date\n000017.SZ,*ST中华A,20120104\n",
        "instruments": "ts_code,name,list_date,delist_date\n000017.SZ,深中华A,19920331,\n",
        "suspensions": "symbol,date,suspended\n002837,2024-05-27,true\n002837,2024-05-28,false\n",
    }
    found = {}
    for kind, text in texts.items():
        (table,) = read_table(write(tmp_path, text))
        assert table.kind == kind
        found[kind] = table.frame.rows(named=True)
    assert [(r["cash"], r["bonus"], r["transfer"]) for r in found["corporate_actions"]] == [(0.2, 0.0, 0.3)]
    assert found["name_history"] == [
        {"symbol": "000017.SZ", "valid_from": dt.date(2012, 1, 4), "name": "*ST中华A"}
    ]
    assert [(r["board"], r["delisted"]) for r in found["instruments"]] == [("szse_main", None)]
    assert [r["date"] for r in found["suspensions"]] == [dt.date(2024, 5, 27)]


def test_events_as_text_and_as_parquet_are_one(tmp_path: Path) -> None:
    text = (
        "event_id,kind,polarity,strength,certainty,known_at,symbols,segments,magnitudes\n"
        'a,rack_delay,-1,0.5,fact,2024-03-12T08:05:00+08:00,002837.SZ 300499.SZ,cdu,"[{""quantity"":""power"",'
        '""unit"":""kW"",""low"":120,""high"":null}]"\n'
        "b,asic_adoption,1,0.5,opinion,2024-03-12T02:05:00Z,,,\n"
        "c,risk,0,0.5,forecast,2024-03-12,,cold_plate,\n"
    )
    frame = one(write(tmp_path, text))
    shanghai = [t.strftime("%Y-%m-%d %H:%M %z") for t in frame["known_at"]]
    assert shanghai == ["2024-03-12 08:05 +0800", "2024-03-12 10:05 +0800", "2024-03-12 15:00 +0800"]
    assert frame["symbols"].to_list() == [["002837.SZ", "300499.SZ"], [], []]
    assert frame["magnitudes"].to_list()[0] == [
        {"quantity": "power", "unit": "kW", "low": 120.0, "high": None}
    ]
    path = tmp_path / "events.parquet"
    frame.write_parquet(path)
    assert one(path).equals(frame)


# ------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("2024-01-03,25.30", "2024-13-03,25.30", ["line 3", "'date'", "'2024-13-03'"]),
        ("2024-01-03,25.30", ",25.30", ["line 3", "'date'", "an empty cell"]),
        ("2024-01-03,25.30", "03/01/2024,25.30", ["line 3", "'03/01/2024'"]),
        (",25.80,", ",二十五,", ["line 3", "'close'", "'二十五'", "a number"]),
        (",25.80,", ",inf,", ["line 3", "'close'", "'inf'"]),
        ("600519.SH,2024-01-02", ",2024-01-02", ["line 4", "'symbol'", "an empty cell"]),
        ("20220,", "2万,", ["line 5", "'volume'", "'2万'"]),
        ("20220,34108000", "20220", ["line 5", "7 fields", "8"]),
        ("20220,34108000", "20220,34108000,1", ["line 5", "9 fields", "8"]),
    ],
)
def test_an_unreadable_cell_names_its_place(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in BARS
    with pytest.raises(IntegrityError) as caught:
        read_table(write(tmp_path, BARS.replace(old, new)))
    for word in ["daily.csv", "stored", *words]:
        assert word in str(caught.value)


def test_rows_of_parquet_are_counted_from_one(plain: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "daily.parquet"
    plain.with_columns(pl.col("date").dt.to_string()).with_columns(
        date=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("soon")).otherwise("date")
    ).write_parquet(path)
    with pytest.raises(IntegrityError, match=r"row 3, column 'date': 'soon'"):
        read_table(path)


@pytest.mark.parametrize("symbol", ["123456", "600519.SZ", "AAPL", "510300.SH", "2837", "0028377"])
def test_a_symbol_that_names_nothing(tmp_path: Path, symbol: str) -> None:
    with pytest.raises(UnknownSymbol, match=rf"line 4.*{symbol}"):
        read_table(write(tmp_path, BARS.replace("600519.SH,2024-01-02", f"{symbol},2024-01-02")))


@pytest.mark.parametrize("column", ["date", "open", "close", "volume"])
def test_a_missing_column_is_named_with_what_was_found(tmp_path: Path, column: str) -> None:
    frame = pl.read_csv(BARS.encode()).drop(column)
    with pytest.raises(UsageError) as caught:
        read_table(write(tmp_path, frame.write_csv()))
    for word in (repr(column), f"--map {column}=", *frame.columns):
        assert word in str(caught.value)


def test_a_mapped_heading_must_exist(tmp_path: Path) -> None:
    path = write(tmp_path, BARS)
    with pytest.raises(UsageError, match=r"no column '交易日'.*found: symbol, date"):
        read_table(path, columns="date=交易日")
    with pytest.raises(UsageError, match="not COLUMN=HEADING"):
        read_table(path, columns="date")
    with pytest.raises(UsageError, match="'dat' is not one of our columns"):
        read_table(path, columns="dat=date")


@given(junk=st.binary(max_size=300), name=st.sampled_from(["a.csv", "a.parquet", "a.csv.gz", "a.txt"]))
def test_any_bytes_give_tables_or_one_clear_error(
    junk: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(junk)
    with contextlib.suppress(AshareError):
        assert all(table.frame.height for table in read_table(path))
        return
    with pytest.raises(AshareError, match=re.escape(name)):
        read_table(path)


_NOISE = st.sampled_from(
    [
        '"',
        ",",
        "\n",
        "\r",
        "é",
        "万",
        "1e400",
        "9" * 25,
        "None",
        "2024-02-30",
        "[]",
        "|",
        ";",
        "T",
        "nan",
        "１",
        "<",
    ]
)


@given(
    cuts=st.lists(st.tuples(st.integers(0, len(BARS)), st.integers(0, 12), _NOISE), min_size=1, max_size=4)
)
def test_a_damaged_file_gives_tables_or_one_clear_error(
    cuts: list[tuple[int, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = BARS
    for at, length, noise in cuts:
        text = text[:at] + noise + text[at + length :]
    path = write(tmp_path_factory.getbasetemp(), text, "damaged.csv")
    try:
        tables = read_table(path)
    except AshareError as error:
        said = str(error)
    else:
        said = "damaged.csv" if all(table.frame.height for table in tables) else "an empty table"
    assert "damaged.csv" in said


@given(cut=st.integers(0, 2000))
def test_a_cut_parquet_file_is_never_half_read(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.parquet"
    pl.read_csv(BARS.encode()).write_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % (len(whole) - 1)])
    with pytest.raises(UsageError, match=r"cut short|empty|not a Parquet"):
        read_table(path)


ODD = {
    "lists": [[1.0], [2.0]],
    "structs": [{"a": 1}, {"a": 2}],
    "bytes": [b"a", b"\xff"],
    "truths": [True, False],
    "times": [dt.time(1), dt.time(2)],
    "spans": [dt.timedelta(1), dt.timedelta(2)],
    "nulls": [None, None],
    "huge": [2**62, 2**62],
    "negative": [-1, -5],
    "extremes": [1e300, 1e-300],
    "words": ["x", "y"],
    "category": pl.Series(["x", "y"], dtype=pl.Categorical),
    "nan": [float("nan"), 1.0],
}


@pytest.mark.parametrize("column", BARS.partition("\n")[0].split(","))
@pytest.mark.parametrize("odd", ODD)
def test_a_parquet_column_of_any_type_is_read_or_refused(tmp_path: Path, column: str, odd: str) -> None:
    path = tmp_path / "odd.parquet"
    pl.read_csv(BARS.encode()).head(2).with_columns(pl.Series(column, ODD[odd])).write_parquet(path)
    try:
        (table,) = read_table(path)
    except AshareError as error:
        said: str | None = str(error)
    else:
        said = None
        assert table.frame.height == 2
    if odd in ("lists", "bytes", "words", "spans", "truths", "structs", "category", "times"):
        assert said is not None
        assert "odd.parquet" in said
        assert column in said


# ------------------------------------------------------------- real data


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "kind", "basis"),
    [("basket_qfq_b", "bars", "qfq"), ("basket_raw", "bars", "raw"), ("indices", "index_bars", None)],
)
def test_real_files_come_out_as_polars_reads_them(
    shared: Path, name: str, kind: str, basis: str | None
) -> None:
    path = shared / "data" / f"{name}.parquet"
    raw = pl.read_parquet(path)
    (table,) = read_table(path)
    assert (table.kind, table.basis, table.source) == (kind, basis, name)
    assert table.frame.select(raw.columns).equals(raw)
