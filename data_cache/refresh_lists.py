"""The steps of a refresh that concern no single symbol's bars: calendar, companies, names, indices."""

from __future__ import annotations

import datetime as dt
import logging
from functools import partial

import polars as pl

from data_cache import akshare_bars, akshare_lists
from data_cache.akshare_bars import INDICES, PROVIDERS
from data_cache.calendar import FIRST_SESSION
from data_cache.errors import AshareError
from data_cache.refresh_run import Run
from data_cache.rulebook import board
from data_cache.symbols import Symbol
from data_cache.vendors import VendorError

__all__ = ["calendar", "companies", "indices", "names"]

_log = logging.getLogger("data_cache.refresh")


def calendar(run: Run) -> None:
    """The trading calendar from Sina, to the end of the year it has."""
    try:
        days, sha256 = run.ask("sina", "calendar", akshare_bars.calendar)
    except VendorError as error:
        run.report.tables["calendar"] = str(error)
        return
    with run.transaction():
        run.put(run.store.put_calendar, days, "sina")
        run.checked({("calendar", ""): sha256})
        run.read_calendar()


def companies(run: Run, exchange: str) -> None:
    """One exchange's companies, those that left it included."""
    who = akshare_lists.EXCHANGES[exchange]
    lists = {"companies": akshare_lists.listed, "delisted": akshare_lists.delisted}
    if exchange == "BJ":
        del lists["delisted"]  # Beijing publishes none
    parts: dict[str, pl.DataFrame] = {}
    hashes = []
    for title, question in lists.items():
        try:
            parts[title], sha256 = run.ask(who, title, partial(question, exchange))
            hashes.append(sha256)
        except VendorError as error:
            run.report.tables[f"{title} {exchange}"] = str(error)
    if not parts:
        return
    found = _with_boards(pl.concat(parts.values(), how="diagonal"), run.today)
    with run.transaction():
        run.put(run.store.put_instruments, found, who)
        if exchange != "SZ" and "companies" in parts:
            run.put(run.store.put_name_history, _todays_names(run, parts["companies"]), who)
        if len(parts) == len(lists):
            run.checked({("companies", exchange): " ".join(hashes)})


def _with_boards(found: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    """The lists as ``schemas.Instruments``; a code the rule book knows no board for is left out."""
    if "delisted" not in found.columns:
        found = found.with_columns(pl.lit(None, dtype=pl.Date).alias("delisted"))
    found = found.sort("delisted", nulls_last=True).unique("symbol", keep="first", maintain_order=True)
    boards: list[str | None] = []
    for symbol, left in found.select("symbol", "delisted").iter_rows():
        try:
            boards.append(board(symbol, today if left is None else left - dt.timedelta(days=1)))
        except AshareError as error:
            _log.warning("%s: %s", symbol, error)
            boards.append(None)
    return found.with_columns(pl.Series("board", boards, dtype=pl.String)).drop_nulls("board")


def _todays_names(run: Run, found: pl.DataFrame) -> pl.DataFrame:
    """Shanghai and Beijing date no names: one that differs from the last known is noted as of today."""
    known = (
        run.store.name_history().sort("symbol", "valid_from").group_by("symbol").agg(pl.col("name").last())
    )
    new = found.drop_nulls("name").join(known, on=["symbol", "name"], how="anti")
    return new.select("symbol", pl.lit(run.today).alias("valid_from"), "name")


def names(run: Run) -> None:
    """Shenzhen's dated name changes, and each company's first name from its listing on."""
    try:
        changes, sha256 = run.ask("szse", "names", akshare_lists.name_changes)
    except VendorError as error:
        run.report.tables["names SZ"] = str(error)
        return
    listed = run.store.instruments().filter(pl.col("symbol").str.ends_with(".SZ"))
    first = changes.group_by("symbol", maintain_order=True).agg(pl.col("before").first())
    at_listing = listed.join(first, on="symbol", how="full", coalesce=True).select(
        "symbol",
        pl.col("listed").fill_null(FIRST_SESSION).alias("valid_from"),
        pl.coalesce("before", "name").alias("name"),
    )
    later = changes.select("symbol", pl.col("date").alias("valid_from"), pl.col("after").alias("name"))
    rows = pl.concat([at_listing.drop_nulls("name"), later])
    with run.transaction():
        run.put(run.store.put_name_history, rows.unique(["symbol", "valid_from"], keep="last"), "szse")
        run.checked({("names", "SZ"): sha256})


def indices(run: Run) -> None:
    """Bars of the benchmark indices through the last closed session, from the first provider that answers."""
    order = [p for p in run.providers if p in ("em", "sina")] or ["sina", "em"]
    due = [Symbol(i) for i in INDICES if run.due("index", i)]
    held = dict(run.store.index_bars().group_by("symbol").agg("date").iter_rows()) if due else {}
    found: dict[str, list[pl.DataFrame]] = {}
    answered = {}
    for symbol in due:
        low, check = run.start, run.checks.get(("index", symbol))
        have = set(held.get(symbol, ()))
        if have and check and check.since and check.since <= run.start:
            missing = (s for s in run.sessions if s >= max(low, min(have)) and s not in have)
            low = max(low, min(run.recent(), max(have), next(missing, run.end)))
        words = []
        for provider in order:
            question = partial(akshare_bars.index_bars, provider, symbol, low, min(run.end, run.closed))
            try:
                rows, answered["index", str(symbol)] = run.ask(PROVIDERS[provider], "index", question)
            except VendorError as error:
                words.append(str(error))
                continue
            found.setdefault(PROVIDERS[provider], []).append(rows)
            break
        else:
            run.report.tables[f"index {symbol}"] = "; ".join(words)
    if answered:
        with run.transaction():
            for who, parts in found.items():
                run.put(run.store.put_index_bars, pl.concat(parts), who)
            run.checked(answered, run.start)
