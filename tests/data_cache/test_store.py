"""The store: what goes in comes out, history is kept, and failures are told in words."""

from __future__ import annotations

import datetime as dt
import json
import random
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_cache import database
from data_cache.errors import (
    NoData,
    StorageError,
    StoreBusy,
    UnknownName,
    UnknownSymbol,
    UsageError,
)
from data_cache.store import Store, Written
from data_cache.tables import decode, encode

DAYS = [dt.date(2024, 1, d) for d in (2, 3, 4, 5, 8, 9, 10, 11, 12, 15)]
SH = dt.timezone(dt.timedelta(hours=8))


def bars(
    symbol: str = "002837.SZ", days: list[dt.date] = DAYS, price: float = 10.0, volume: int = 12_345
) -> pl.DataFrame:
    """Bars that rise by a fen a day and break no rule."""
    close = [round(price + i / 100, 2) for i in range(len(days))]
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(days),
            "date": days,
            "open": close,
            "high": [c + 0.1 for c in close],
            "low": [c - 0.1 for c in close],
            "close": close,
            "volume": [volume + i for i in range(len(days))],
            "amount": [c * (volume + i) for i, c in enumerate(close)],
        }
    )


def changed(frame: pl.DataFrame, day: dt.date, by: float) -> pl.DataFrame:
    """One day's close moved within its range."""
    return frame.with_columns(
        close=pl.when(pl.col("date") == day).then(pl.col("close") + by).otherwise("close")
    )


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Store.create(tmp_path_factory.mktemp("empty") / "s.duckdb").path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Store:
    return Store.open(shutil.copy(empty, tmp_path / "s.duckdb"))


# ---------------------------------------------------------------- reads and writes


def test_bars_come_out_as_they_went_in(store: Store) -> None:
    both = pl.concat([bars("600519.SH", price=1500), bars()])
    assert store.put_bars(both, source="x") == Written(inserted=20)
    out = store.bars(basis="raw")
    assert out.drop("basis", "source").equals(both.sort("symbol", "date"))
    assert out["basis"].unique().to_list() == ["raw"]
    assert out["source"].unique().to_list() == ["x"]
    some = store.bars(["SZ002837"], "2024-01-03", dt.date(2024, 1, 5), basis="raw")
    assert some["date"].to_list() == DAYS[1:4]
    assert store.bars(["300308.SZ"], basis="raw").is_empty()
    assert store.bars([], basis="raw").is_empty()


def test_amount_may_be_missing_and_dates_descending(store: Store) -> None:
    store.put_bars(bars().drop("amount").sort("date", descending=True), source="x")
    out = store.bars(basis="raw")
    assert out["amount"].null_count() == 10
    assert out["date"].to_list() == DAYS


def test_the_same_put_twice_changes_nothing_not_even_the_snapshot(store: Store) -> None:
    store.put_bars(bars(), source="x")
    before = store.snapshot_id()
    assert store.put_bars(bars(), source="x") == Written(unchanged=10)
    assert store.put_bars(bars(), source="y") == Written(unchanged=10)
    assert store.snapshot_id() == before


def test_a_missing_column_and_a_wrong_type_name_themselves(store: Store) -> None:
    with pytest.raises(UsageError, match=r"missing column\(s\) volume.*received symbol"):
        store.put_bars(bars().drop("volume"), source="x")
    with pytest.raises(UsageError, match=r"bars:.*nothing was stored"):
        store.put_bars(bars().with_columns(volume=pl.lit("many")), source="x")
    assert store.symbols() == []


def test_a_bar_beyond_the_calendar_is_refused_with_the_remedy(store: Store) -> None:
    end = store.calendar()[-1]
    late = bars(days=[end, end + dt.timedelta(days=1)])
    with pytest.raises(NoData, match=rf"calendar ends on {end}.*refresh"):
        store.put_bars(late, source="x")
    assert store.symbols() == []
    more = [end + dt.timedelta(days=n) for n in (4, 5)]
    assert store.put_calendar(pl.Series(more), source="exchange").inserted == 2
    assert store.calendar()[-1] == more[-1]
    store.put_bars(bars(days=[end, more[0]]), source="x")


@pytest.mark.parametrize("basis", ["raw", "qfq", "hfq"])
def test_bases_are_kept_apart(store: Store, basis: str) -> None:
    for i, other in enumerate(("raw", "qfq", "hfq")):
        store.put_bars(bars(price=10.0 + i), source="x", basis=other)
    assert store.bars(basis=basis)["close"][0] == {"raw": 10.0, "qfq": 11.0, "hfq": 12.0}[basis]
    with pytest.raises(UnknownName, match="did you mean 'qfq'"):
        store.bars(basis="qfp")


def test_the_basis_of_a_run_is_one_for_all_its_symbols(store: Store) -> None:
    with pytest.raises(NoData, match="has no bars; fill it"):
        store.basis()
    store.put_bars(bars(), source="x")
    with pytest.raises(NoData, match=r"002837\.SZ lack raw bars with factors"):
        store.basis()
    store.put_bars(pl.concat([bars(), bars("300308.SZ")]), source="x", basis="qfq")
    assert store.basis() == "qfq"
    factors = pl.DataFrame({"symbol": ["002837.SZ"], "date": [DAYS[0]], "factor": [1.0]})
    store.put_factors(factors, source="x")
    assert store.basis(["002837.SZ"]) == "raw"
    assert store.basis(["002837.SZ", "300308.SZ"]) == "qfq"
    assert set(store.bars()["basis"]) == {"qfq"}
    with pytest.raises(UnknownSymbol, match=r"no bars of 600000\.SH, 600001\.SH"):
        store.basis(["600001.SH", "002837.SZ", "600000.SH"])


def test_every_small_table_comes_back(store: Store) -> None:
    symbol, day = "002837.SZ", DAYS[0]
    frames = {
        "corporate_actions": {"symbol": [symbol], "ex_date": [day], "cash": [0.2], "bonus": [0.0],
                              "transfer": [0.3], "record_date": [None], "announced_on": [day]},
        "instruments": {"symbol": [symbol], "name": ["英维克"], "board": ["szse_main"], "listed": [day],
                        "delisted": [None]},
        "name_history": {"symbol": [symbol], "valid_from": [day], "name": ["英维克"]},
        "suspensions": {"symbol": [symbol], "date": [day], "reason": ["重大事项"]},
        "factors": {"symbol": [symbol], "date": [day], "factor": [1.0]},
        "index_bars": {"symbol": ["000300.SH"], "date": [day], "open": [1.0], "high": [1.0], "low": [1.0],
                       "close": [1.0]},
    }  # fmt: skip
    for name, columns in frames.items():
        assert getattr(store, f"put_{name}")(pl.DataFrame(columns), source="x") == Written(inserted=1), name
        out = getattr(store, name)()
        assert out.select(list(columns)).to_dict(as_series=False) == columns, name
        assert getattr(store, f"put_{name}")(pl.DataFrame(columns), source="x") == Written(unchanged=1), name


def test_index_bars_and_suspensions_lie_on_sessions(store: Store) -> None:
    sunday = dt.date(2024, 1, 7)
    frame = pl.DataFrame({"symbol": ["002837.SZ"] * 2, "date": [sunday, DAYS[0]], "reason": [None, None]})
    frame = frame.with_columns(pl.col("reason").cast(pl.String))
    assert store.put_suspensions(frame, source="x") == Written(inserted=1, rejected=1)
    assert store.rejected()["rule"].to_list() == ["on_calendar"]


@given(st.integers(0, 999_999), st.sampled_from(["SZ", "SH", "BJ"]))
def test_symbols_survive_their_integers_and_keep_their_order(code: int, exchange: str) -> None:
    text = f"{code:06d}.{exchange}"
    others = sorted(["000000.BJ", "002837.SZ", "600519.SH", "999999.SZ", text])
    numbers = encode(pl.Series(others))
    assert decode(numbers).to_list() == others
    assert numbers.is_sorted()


# ----------------------------------------------------------------------- history


def test_a_revision_keeps_the_old_row_with_both_times_and_sources(store: Store) -> None:
    first, second = dt.datetime(2024, 2, 1, 18, tzinfo=SH), dt.datetime(2024, 2, 2, 18, tzinfo=SH)
    store.put_bars(bars(), source="x", fetched_at=first)
    snapshot = store.snapshot_id()
    done = store.put_bars(changed(bars(), DAYS[3], 0.05), source="x", fetched_at=second)
    assert done == Written(unchanged=9, revised=1)
    assert store.bars(basis="raw")["close"][3] == pytest.approx(10.08)
    (old,) = store.revisions().to_dicts()
    assert (old["symbol"], old["date"], old["close"]) == ("002837.SZ", DAYS[3], 10.03)
    assert (old["old_source"], old["new_source"]) == ("x", "x")
    assert (old["fetched_at"], old["superseded_fetched_at"]) == (first, second)
    assert old["recorded_at"] <= old["superseded_at"]
    assert Store.open(store.path, as_of=snapshot).bars(basis="raw")["close"][3] == 10.03
    assert Store.open(store.path, as_of=snapshot).revisions().is_empty()


def test_another_source_never_overwrites(store: Store) -> None:
    store.put_bars(bars(), source="x")
    assert store.put_bars(changed(bars(), DAYS[3], 0.05), source="y") == Written(unchanged=9, rejected=1)
    assert store.bars(basis="raw")["close"][3] == 10.03
    (listed,) = store.rejected().to_dicts()
    assert (listed["table"], listed["rule"], listed["source"]) == ("bars", "cross_source", "y")
    assert json.loads(listed["row"])["close"] == pytest.approx(10.08)
    assert store.put_bars(changed(bars(), DAYS[3], 0.05), source="y") == Written(unchanged=9, rejected=1)
    assert store.rejected().height == 1


def test_a_provisional_bar_gives_way_and_is_no_revision(store: Store) -> None:
    noon = dt.datetime.combine(DAYS[-1], dt.time(12), SH)
    evening = dt.datetime.combine(DAYS[-1], dt.time(18), SH)
    assert store.put_bars(bars(), source="x", fetched_at=noon) == Written(inserted=10)
    seen_at_noon = store.snapshot_id()
    final = changed(bars(), DAYS[-1], 0.05)
    assert store.put_bars(final, source="y", fetched_at=evening) == Written(unchanged=9, confirmed=1)
    assert store.bars(basis="raw").select(final.columns).equals(final)
    assert store.revisions().is_empty()
    assert Store.open(store.path, as_of=seen_at_noon).bars(basis="raw").select(final.columns).equals(bars())
    # Once final, the next difference from that source is a revision.
    assert store.put_bars(bars(), source="y", fetched_at=evening).revised == 1


def test_an_unchanged_bar_is_still_confirmed(store: Store) -> None:
    noon = dt.datetime.combine(DAYS[-1], dt.time(12), SH)
    store.put_bars(bars(), source="x", fetched_at=noon)
    assert store.put_bars(bars(), source="x").confirmed == 1
    assert store.put_bars(bars(), source="x") == Written(unchanged=10)


def test_as_of_reads_by_the_time_of_recording(store: Store) -> None:
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    store.put_bars(bars(), source="x", fetched_at=past)
    assert Store.open(store.path, as_of=past).bars(basis="raw").is_empty()
    now = dt.datetime.now(dt.UTC)
    assert Store.open(store.path, as_of=now).bars(basis="raw").height == 10
    assert Store.open(store.path, as_of=now.isoformat()).snapshot_id() == store.snapshot_id()
    assert (
        Store.open(store.path, as_of=str((now + dt.timedelta(days=1)).date())).snapshot_id()
        == store.snapshot_id()
    )


@pytest.mark.parametrize(
    ("as_of", "message"),
    [("yesterday", "needs a snapshot id"), ("deadbeef-1", "is not of this store"),
     ("2024-01-01T00:00", "without a time zone")],
)  # fmt: skip
def test_an_as_of_that_names_nothing_is_refused(store: Store, as_of: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Store.open(store.path, as_of=as_of)


def test_the_past_is_read_only(store: Store) -> None:
    then = Store.open(store.path, as_of=store.snapshot_id())
    with pytest.raises(UsageError, match="read-only"):
        then.put_bars(bars(), source="x")


PUTS = st.lists(
    st.tuples(
        st.sampled_from(["x", "y"]),
        st.sampled_from(["002837.SZ", "300308.SZ"]),
        st.sampled_from(["raw", "qfq"]),
        st.integers(0, 6),  # first day
        st.integers(1, 4),  # days
        st.sampled_from([0.0, 0.03, 0.07]),  # how much the last close differs
        st.sampled_from([None, 9, 18]),  # hour of the last day at which it was fetched
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=10 if settings.get_current_profile_name() == "test" else 500)
@given(PUTS)
def test_a_snapshot_reads_for_ever_what_was_read_then(
    tmp_path_factory: pytest.TempPathFactory, empty: Path, puts: list
) -> None:
    store = Store.open(shutil.copy(empty, tmp_path_factory.mktemp("asof") / "s.duckdb"))
    taken = {}
    for source, symbol, basis, first, count, by, hour in puts:
        days = DAYS[first : first + count]
        frame = changed(bars(symbol).filter(pl.col("date").is_in(days)), days[-1], by)
        fetched = None if hour is None else dt.datetime.combine(days[-1], dt.time(hour), SH)
        done = store.put_bars(frame, source=source, basis=basis, fetched_at=fetched)
        assert done.inserted + done.revised + done.unchanged + done.rejected + done.confirmed == count
        taken[store.snapshot_id()] = [store.bars(basis="raw"), store.bars(basis="qfq"), store.rejected()]
    for snapshot, reads in taken.items():
        then = Store.open(store.path, as_of=snapshot)
        again = [then.bars(basis="raw"), then.bars(basis="qfq"), then.rejected()]
        assert all(a.equals(b) for a, b in zip(reads, again, strict=True))
    with duckdb.connect(str(store.path), read_only=True) as connection:
        last = "SELECT symbol, basis, max(date), arg_max(close, date), count(*) - 1 FROM bars GROUP BY ALL ORDER BY ALL"
        tips = "SELECT symbol, basis, date, close, before FROM bar_tips ORDER BY ALL"
        assert connection.execute(tips).fetchall() == connection.execute(last).fetchall()
        copies = "SELECT symbol, date, basis FROM bars GROUP BY ALL HAVING count(*) > 1"
        assert connection.execute(copies).fetchall() == []


def test_factors_come_from_one_source_and_another_is_its_witness(store: Store) -> None:
    days = [dt.date(2020, 5, 29), dt.date(2021, 5, 27)]
    mine = pl.DataFrame({"symbol": ["002837.SZ"] * 2, "date": days, "factor": [1.0, 1.5]})
    further = pl.DataFrame({"symbol": ["002837.SZ"], "date": [dt.date(2022, 5, 31)], "factor": [1.8]})
    store.put_factors(mine, source="x")
    assert store.put_factors(mine, source="y") == Written(unchanged=2)
    assert store.put_factors(pl.concat([mine, further]), source="y") == Written(unchanged=2, inserted=1)
    doubled = pl.concat([mine, further]).with_columns(pl.col("factor") * 2)
    later = doubled.tail(1).with_columns(date=dt.date(2023, 5, 19))
    assert store.put_factors(pl.concat([doubled, later]), source="z") == Written(rejected=4)
    assert sorted(store.rejected()["rule"]) == ["cross_source"] * 3 + ["cross_source_level"]
    assert store.factors()["factor"].to_list() == [1.0, 1.5, 1.8]
    assert store.put_factors(mine.with_columns(pl.col("factor") * 2), source="x").revised == 2


# ---------------------------------------------------------------------- failures


def test_no_store_says_how_to_fill_one(tmp_path: Path) -> None:
    with pytest.raises(NoData, match=r"ashare demo.*ashare import.*ashare refresh"):
        Store.open(tmp_path / "none.duckdb")


def test_what_is_no_store_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_bytes(b"hello" * 1000)
    for opened in (Store.open, Store.create):
        with pytest.raises(StorageError, match="not a DuckDB database"):
            opened(text)
    assert text.read_bytes() == b"hello" * 1000
    foreign = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(foreign)) as connection:
        connection.execute("CREATE TABLE t (i INTEGER)")
    for opened in (Store.open, Store.create):
        with pytest.raises(StorageError, match="not a store of this program"):
            opened(foreign)
    with pytest.raises(StorageError):
        Store.open(tmp_path)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_damaged_not_a_traceback(store: Store, kept: float) -> None:
    store.put_bars(bars(), source="x")
    data = store.path.read_bytes()
    store.path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(StorageError, match="ashare"):
        Store.open(store.path).bars(basis="raw")


@pytest.mark.parametrize("block", range(3, 9))
def test_a_damaged_block_is_damaged_not_a_traceback(store: Store, block: int) -> None:
    """Of 4096 bytes: the first three are DuckDB's headers."""
    store.put_bars(bars(), source="x")
    data = bytearray(store.path.read_bytes())
    data[block * 4096 + 100 : block * 4096 + 108] = b"\xff" * 8
    store.path.write_bytes(data)
    with pytest.raises(StorageError, match="is damaged"):
        Store.open(store.path).put_bars(bars(), source="x")


def test_a_store_of_another_format_is_refused(store: Store) -> None:
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    with pytest.raises(StorageError, match="format 99"):
        Store.open(store.path)


def test_sample_and_real_data_never_mix(tmp_path: Path) -> None:
    assert Store.create(tmp_path / "s.duckdb", sample=True).is_sample
    with pytest.raises(UsageError, match="holds the sample market"):
        Store.create(tmp_path / "s.duckdb")
    assert not Store.create(tmp_path / "r.duckdb").is_sample
    with pytest.raises(UsageError, match="holds real data"):
        Store.create(tmp_path / "r.duckdb", sample=True)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the folder"):
        Store.create(tmp_path / "file" / "s.duckdb")


def test_making_that_was_cut_short_is_taken_up(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "s.duckdb")).close()
    assert Store.create(tmp_path / "s.duckdb").calendar().len() > 8000


def test_another_process_holding_the_file_is_busy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreBusy, match=f"process {holder.pid} holds"):
            store.bars(basis="raw")
        with pytest.raises(StoreBusy):
            store.put_bars(bars(), source="x")
        monkeypatch.setattr(database, "PATIENCE", 20.0)
        holder.stdin.close()  # it ends while we wait: a short write elsewhere is no error
        assert store.put_bars(bars(), source="x").inserted == 10


def test_our_own_open_connection_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    mine = duckdb.connect(str(store.path), read_only=True)
    with pytest.raises(StoreBusy, match="this process itself"):
        store.put_bars(bars(), source="x")
    mine.close()


def test_an_interrupted_read_lets_go_of_the_file(store: Store) -> None:
    def interrupted() -> None:
        with database.reading(store.path) as connection:
            next(iter(connection.sql("SELECT date FROM calendar").to_arrow_reader(1)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with duckdb.connect(str(store.path)) as connection:  # refused while the file is still attached
        connection.execute("CREATE TABLE mine (a INTEGER)")
    assert store.calendar().len() > 0


def test_a_full_disk_loses_nothing_stored(store: Store) -> None:
    store.put_bars(bars(), source="x")
    limit = store.path.stat().st_size + 4096
    code = f"""
import resource, signal
import polars as pl, numpy as np
from data_cache.store import Store
from data_cache.errors import StorageError
store = Store.open({str(store.path)!r})
days = store.calendar().head(2000)
rng = np.random.default_rng(0)
close = rng.uniform(10, 10.5, 2000 * 50)
frame = pl.DataFrame({{"symbol": np.repeat([f"{{600000 + i}}.SH" for i in range(50)], 2000),
    "date": pl.concat([days] * 50), "open": close, "high": close + 0.1, "low": close - 0.1, "close": close,
    "volume": rng.integers(1000, 10**9, 2000 * 50)}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    store.put_bars(frame, source="x")
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "disk is full" in done.stdout
    assert "what was stored before stays" in done.stdout
    assert Store.open(store.path).bars(basis="raw").drop("basis", "source").equals(bars())


WRITER = """
import sys, itertools, datetime as dt
import polars as pl
from data_cache.store import Store
store = Store.open(sys.argv[1])
days = store.calendar().tail(250).head(200)
print("go", flush=True)
for n in itertools.count(int(sys.argv[2])):
    price = 10 + n / 1000
    frame = pl.DataFrame({"symbol": ["%06d.SZ" % (n % 7)] * 200, "date": days, "volume": range(12345, 12545)})
    frame = frame.with_columns(open=pl.lit(price), high=pl.lit(price), low=pl.lit(price), close=pl.lit(price))
    store.put_bars(frame, source="x", basis="hfq")
    print(n, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_whole_puts_only(store: Store) -> None:
    chance = random.Random(5)
    written = 0
    for turn in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.path), str(turn * 1000)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"go\n"
            for _ in range(1 + chance.randrange(2)):
                writer.stdout.readline()  # some puts are whole; the next is cut at a random moment
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=chance.uniform(0.001, 0.1))
            writer.kill()
        opened = Store.open(store.path)
        found = opened.bars(basis="hfq")
        per_symbol = found.group_by("symbol").agg(pl.len(), pl.col("close").n_unique())
        assert per_symbol["len"].to_list() == [200] * per_symbol.height
        assert per_symbol["close"].to_list() == [1] * per_symbol.height  # one put's price, never half of two
        written += per_symbol.height
        assert opened.put_bars(bars("688256.SH"), source="x").rejected == 0  # and it takes the next write
    assert written > 0


def test_a_bare_text_is_one_symbol_one_kind_one_source(sample_db: Path) -> None:
    full = Store.open(sample_db)
    events = full.events()
    kind, source, symbol = events["kind"][0], events["source"][0], full.symbols()[0]
    assert full.events(kinds=kind).height
    assert full.events(kinds=kind).equals(full.events(kinds=[kind]))
    assert full.events(sources=source).equals(full.events(sources=[source]))
    assert full.bars(symbol).equals(full.bars([symbol]))
    assert full.index_bars("000300.SH").equals(full.index_bars(["000300.SH"]))


def test_what_the_store_never_had_is_refused_by_name(sample_db: Path) -> None:
    full = Store.open(sample_db)
    with pytest.raises(UnknownSymbol, match=r"index 000905\.SH .* it has 000300\.SH"):
        full.index_bars(["000300.SH", "000905.SH"])
    assert full.index_bars(["000300.SH"], end="1999-01-04").is_empty(), "it has the index, not those days"


def test_dates_in_the_wrong_order_are_refused(sample_db: Path) -> None:
    full = Store.open(sample_db)
    for read in (full.bars, full.index_bars, full.suspensions):
        with pytest.raises(UsageError, match="start 2024-02-01 is after end 2024-01-31"):
            read(start="2024-02-01", end="2024-01-31")
    with pytest.raises(UsageError, match="start 2024-02-01 is after end 2024-01-31"):
        full.panel(start="2024-02-01", end="2024-01-31")
    with pytest.raises(UsageError, match="start is 20240201; needs a date as"):
        full.bars(start=20240201)  # type: ignore[arg-type]


def test_the_command_an_error_suggests_names_every_symbol_and_can_be_run(store: Store) -> None:
    from backtest.cli import app

    names = [f"0028{n}.SZ" for n in range(30, 42)]
    for name in names:
        store.put_bars(bars(name), source="x")
    with pytest.raises(NoData) as raw_alone:
        store.basis()
    with pytest.raises(UnknownSymbol) as strangers:
        store.bars([*names, "600519.SH", "600520.SH"])
    for said, asked in ((raw_alone, names), (strangers, ["600519.SH", "600520.SH"])):
        command = str(said.value).split("`")[1]
        _, bound, _ = app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
        assert bound.arguments["symbols"].split(",") == asked
        assert bound.arguments["common"].path == store.path
