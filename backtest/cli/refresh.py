"""``ashare refresh``: fill the store from akshare, as every evening."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backtest.cli.common import Common, progress_console, say
from data_cache.errors import UsageError

__all__ = ["refresh"]

_LOGGERS = ("data_cache.refresh", "stamina")


def refresh(
    *,
    universe: str | None = None,
    symbols: str | None = None,
    market: Annotated[bool, Parameter(negative="")] = False,
    start: dt.date | None = None,
    end: dt.date | None = None,
    providers: str = "em,tx,sina",
    timeout: float = 20.0,
    gap: float = 1.0,
    force: Annotated[bool, Parameter(negative="")] = False,
    log: Path | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """Ask the vendors for what the store is owed; see docs/daily.md for cron and systemd.

    Exit codes: 0 done or nothing due, 3 something not got, 4 no provider answered, 5 rows quarantined, 75 busy,
    130 interrupted.

    Args:
        universe: A named list, e.g. liquid_cooling (the default where nothing else is named).
        symbols: These, separated by commas: 002837.SZ,301018.SZ.
        market: Every company the exchanges list, delisted ones included. Takes hours, and invites a ban.
        start: First date wanted, default 2015-01-05.
        end: Last date wanted, default today.
        providers: Who is asked for bars, first choice first: em (Eastmoney), tx (Tencent), sina.
        timeout: Seconds without an answer before a request is given up.
        gap: Least seconds between two requests to one host; half as much again is added at random.
        force: Ask even for what was asked since the last session closed.
        log: Append one line for each step and failure to this file.
    """
    from data_cache.refresh import START, Interrupted
    from data_cache.refresh import refresh as run
    from data_cache.store import Store
    from data_cache.vendors import Transport

    wanted = _wanted(universe, symbols, market=market)
    transport = Transport(timeout=(min(timeout, 10.0), timeout), gap=gap, jitter=gap / 2)
    store = Store.create(common.path)
    with _logging(log), _progress(common) as progress:
        try:
            report = run(
                store, wanted, start=start or START, end=end, now=_now(), force=force, transport=transport,
                providers=[p.strip() for p in providers.split(",") if p.strip()], progress=progress,
            )  # fmt: skip
        except Interrupted as stop:
            report = stop.report
    if common.json:
        print(json.dumps(report.document(), ensure_ascii=False))
    if error := report.error():
        raise error
    say(common, report.summary().replace("[", r"\["))
    return report.code


def _wanted(universe: str | None, symbols: str | None, *, market: bool) -> list[str] | None:
    from data_cache.symbols import Symbol
    from data_cache.universe import load_universe

    if sum((universe is not None, symbols is not None, market)) > 1:
        raise UsageError(
            "--universe, --symbols and --market each name whose data is wanted; give one of them"
        )
    if market:
        return None
    if symbols is not None:
        if not (names := [Symbol.parse(s) for s in symbols.split(",") if s.strip()]):
            raise UsageError("--symbols names none; write it as --symbols 002837.SZ,301018.SZ")
        return list(names)
    return load_universe(universe or "liquid_cooling")["symbol"].to_list()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@contextmanager
def _logging(file: Path | None) -> Iterator[None]:
    """Lines to ``file``, or to nobody: a failure worth a person's time is in the report."""
    try:
        handler: logging.Handler = (
            logging.FileHandler(file, encoding="utf-8") if file else logging.NullHandler()
        )
    except OSError as error:
        raise UsageError(
            f"--log {file}: {error.strerror}; name a file in a folder that is yours to write"
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(handler)
        handler.close()


@contextmanager
def _progress(common: Common) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on a terminal; nothing under cron, ``--quiet`` or ``--json``."""
    console = progress_console(common)
    if common.json or common.quiet or not console.is_terminal:
        yield lambda *_: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("asking", total=None)
        yield lambda done, total, symbol: bar.update(
            task, completed=done, total=total, description=symbol or "ending"
        )
