"""``ashare import``: files of your own, or a whole export, into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from backtest.cli.common import Common, say, show_json, show_table
from data_cache.errors import UnknownName, UsageError

if TYPE_CHECKING:
    import polars as pl

    from data_cache.files import Table
    from data_cache.store import Store, Written

__all__ = ["import_"]

_DATES = {"corporate_actions": "ex_date", "name_history": "valid_from", "events": "known_at"}


def import_(
    *files: Path,
    basis: Literal["raw", "qfq", "hfq"] | None = None,
    columns: Annotated[str | None, Parameter(name="--map")] = None,
    volume_unit: Literal["shares", "lots"] | None = None,
    amount_unit: Literal["yuan", "thousand", "10k"] | None = None,
    symbol: str | None = None,
    source: str | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """Store Parquet or CSV files of bars, factors, indices, events and so on, or a folder of `ashare export`.

    What a file holds is told from its columns and symbols; common Chinese and English headings are known, in
    UTF-8 and GBK. A cell that cannot be read refuses its file; a row that breaks a rule is quarantined (exit
    code 3) and the others are stored. All files are read before the first is stored. The known_at of an event
    needs a zone, or is a date (after that day's close).

    Two vendors' files as they are: `ashare import basket_qfq.parquet indices.parquet`

    Headings of one's own: `ashare import daily.csv --map date=成交日,close=最新价 --volume-unit lots`

    The dated public events this library ships: `ashare import timeline`

    An export, into a new store: `ashare import backup/ --db restored.duckdb`

    Args:
        files: Parquet, CSV or .csv.gz files, one folder `ashare export` wrote, or the word timeline.
        basis: How prices are adjusted: raw as traded, qfq forward, hfq backward. Default: what the file's
            name says, else raw where every price is a whole number of fen; otherwise you are asked.
        columns: Headings we do not know: OURS=THEIRS, separated by commas.
        volume_unit: Default: told from amount, volume and price; shares where there is no amount.
        amount_unit: Default: told from amount, volume and price.
        symbol: Whose rows these are, where the file has no symbol column.
        source: Who the rows come from; default the file's name. Another source's different value is no
            revision but a disagreement, and is quarantined.
        common: Options of every command.
    """
    if not files:
        raise UsageError("no file given; e.g. `ashare import daily.parquet`, or `ashare import --help`")
    if any(path.is_dir() for path in files):
        return _restore(files, common)
    tables = [
        table
        for path in files
        for table in _read(
            path,
            columns=columns,
            symbol=symbol,
            basis=basis,
            volume_unit=volume_unit,
            amount_unit=amount_unit,
            source=source,
        )
    ]
    _known_kinds(tables)
    from data_cache.store import Store

    store = Store.create(common.path)
    _within_calendar(store, tables)
    entries = [_describe(store, table, _put(store, table)) for table in tables]
    _report(store, entries, common)
    return 3 if any(entry["rejected"] for entry in entries) else 0


def _restore(files: tuple[Path, ...], common: Common) -> int:
    if len(files) > 1:
        raise UsageError(f"{len(files)} paths given and one is a folder; restore an export by itself")
    from data_cache.export import restore

    rows = restore(files[0], common.path)
    if common.json:
        show_json({"store": str(common.path), "restored": rows})
    else:
        say(common, f"restored {sum(rows.values()):,} rows of {len(rows)} tables into {common.path}")
    return 0


def _read(path: Path, **how: str | None) -> tuple[Table, ...]:
    """One file's tables; a table of dated events goes to the timeline's own reader."""
    if str(path) == "timeline" and not path.exists():
        from data_cache.files import Table
        from signals.public_timeline import timeline

        events = timeline()
        return (Table(path, "events", events, "timeline", None, ("the dated events this library ships",)),)
    from data_cache.files import Table, read_table
    from data_cache.rawtable import read_raw

    if not {".csv", ".txt"} & set(path.suffixes):
        return read_table(path, **how)
    headings = set(read_raw(path).headings)
    if "event_id" in headings and not {"strength", "certainty", "known_at"} <= headings:
        from signals.public_timeline import read_timeline

        events = read_timeline(path)
        return (Table(path, "events", events, events["source"][0], None, ("a timeline of dated events",)),)
    return read_table(path, **how)


def _known_kinds(tables: list[Table]) -> None:
    """Refuse before anything is stored an event no strategy could read; the store itself knows no kinds."""
    import polars as pl

    from data_cache.universe import SEGMENTS

    for table in tables:
        if table.kind != "events":
            continue
        from signals.lexicon import kinds

        known = [row["kind"] for row in kinds()]
        strange = table.frame.filter(~pl.col("kind").is_in(known))
        for event_id, kind in strange.select("event_id", "kind").iter_rows():
            raise UsageError(
                f"{table.path.name}, event {event_id}: {UnknownName('event kind', kind, known)}; nothing was stored"
            )
        for event_id, segments in table.frame.select("event_id", "segments").iter_rows():
            for segment in segments or ():
                if segment not in SEGMENTS:
                    wrong = UnknownName("segment", segment, SEGMENTS)
                    raise UsageError(f"{table.path.name}, event {event_id}: {wrong}; nothing was stored")


def _within_calendar(store: Store, tables: list[Table]) -> None:
    """Refuse before anything is stored what the store would refuse half-way."""
    from data_cache.calendar import require_within

    calendar = store.calendar()
    for table in tables:
        if table.kind in ("bars", "index_bars") and table.frame.height:
            require_within(calendar, table.frame["date"].max())  # type: ignore[arg-type] # polars: any scalar


def _put(store: Store, table: Table) -> Written:
    if table.kind == "events":
        return store.put_events(table.frame)
    if table.kind == "bars":
        return store.put_bars(table.frame, source=table.source, basis=table.basis or "raw")
    put = {
        "factors": store.put_factors,
        "index_bars": store.put_index_bars,
        "corporate_actions": store.put_corporate_actions,
        "instruments": store.put_instruments,
        "name_history": store.put_name_history,
        "suspensions": store.put_suspensions,
    }[table.kind]
    return put(table.frame, source=table.source)


def _describe(store: Store, table: Table, written: Written) -> dict[str, Any]:
    import polars as pl

    frame = table.frame
    column = _DATES.get(table.kind, "date")
    days = frame.get_column(column) if column in frame.columns else None
    if days is not None and days.dtype != pl.Date:  # an instant: its day in Shanghai
        days = days.dt.date()
    broken = _broken(store, table) if written.rejected else None
    return {
        "file": table.path.name,
        "kind": table.kind,
        "rows": frame.height,
        "symbols": frame["symbol"].n_unique() if "symbol" in frame else None,
        "start": days.min() if days is not None else None,
        "end": days.max() if days is not None else None,
        "basis": table.basis,
        "source": table.source,
        "inserted": written.inserted,
        "revised": written.revised,
        "unchanged": written.unchanged,
        "suspended": written.suspended,
        "rejected": written.rejected,
        "rules": [] if broken is None else broken.to_dicts(),
        "remarks": list(table.remarks),
    }


def _broken(store: Store, table: Table) -> pl.DataFrame:
    """The quarantined rows of this file by rule: rule, count, first (where the first of them stands)."""
    import polars as pl

    found = store.rejected().filter(pl.col("table") == table.kind)
    first = pl.concat_str(
        pl.col("symbol").fill_null("?"), pl.lit(" "), pl.col("date").cast(pl.String).fill_null("")
    )
    if table.kind == "events":  # they have neither symbol nor date there, but a name
        first = pl.col("row").str.json_path_match("$.event_id")
        found = found.filter(first.is_in(table.frame["event_id"].to_list()))
    else:
        found = found.filter(pl.col("source") == table.source)
    if {"symbol", "date"} <= set(table.frame.columns):
        found = found.join(table.frame.select("symbol", "date").unique(), on=["symbol", "date"], how="semi")
    return (
        found.group_by("rule", maintain_order=True)
        .agg(pl.len().alias("count"), first.first().str.strip_chars().alias("first"))
        .sort("count", "rule", descending=[True, False])
    )


def _report(store: Store, entries: list[dict[str, Any]], common: Common) -> None:
    if common.json:
        show_json({"store": str(store.path), "snapshot": store.snapshot_id(), "files": entries})
        return
    import polars as pl

    if not common.quiet:
        shown = [key for key in entries[0] if key not in ("rules", "remarks")]
        show_table(pl.DataFrame(entries, infer_schema_length=None).select(shown), title=str(store.path))
    for entry in entries:
        for remark in entry["remarks"]:
            say(common, f"{entry['file']}: {remark}")
        if entry["rejected"]:
            rules = "; ".join(f"{r['rule']} {r['count']:,} (first: {r['first']})" for r in entry["rules"])
            say(
                common,
                f"[yellow]{entry['file']}: {entry['rejected']:,} rows break a rule and are quarantined, "
                f"not used:[/] {rules}. See `ashare status --rejected`",
            )
