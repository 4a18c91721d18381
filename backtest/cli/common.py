"""What every command shares: ``--db``, ``--json``, ``--quiet``, and one way to print a table or a document."""

from __future__ import annotations

import datetime as dt
import json as _json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

__all__ = ["Common", "default_db", "progress_console", "say", "show_json", "show_table"]


def default_db() -> Path:
    """``ASHARE_DB``, or ``ashare.duckdb`` in this user's data folder."""
    if given := os.environ.get("ASHARE_DB"):
        return Path(given)
    from platformdirs import user_data_path

    return user_data_path("ashare-signals") / "ashare.duckdb"


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Common:
    """Options of every command.

    Args:
        db: The store's file; default ASHARE_DB, or ashare.duckdb in your data folder.
        json: Print one JSON document on stdout and nothing else there.
        quiet: No progress and no remarks; errors still print.
    """

    db: Annotated[Path | None, Parameter(env_var="ASHARE_DB", show_default=False)] = None
    json: Annotated[bool, Parameter(negative="")] = False
    quiet: Annotated[bool, Parameter(negative="", name=["--quiet", "-q"])] = False

    @property
    def path(self) -> Path:
        """The store's file."""
        return self.db if self.db is not None else default_db()


def progress_console(common: Common) -> Console:
    """A console on stderr that is silent under ``--quiet`` and draws no bars where there is no terminal."""
    from rich.console import Console

    return Console(stderr=True, quiet=common.quiet, highlight=False)


def say(common: Common, text: str) -> None:
    """One remark for a person: on stderr, and not under ``--quiet``; rich markup allowed."""
    progress_console(common).print(text, soft_wrap=True)


def show_json(document: Mapping[str, Any] | list[Any]) -> None:
    """Print one JSON document; dates as ISO 8601, frames as lists of row objects, NaN and infinity as null."""
    print(_json.dumps(_jsonable(document), ensure_ascii=False, allow_nan=False, indent=2))


def _jsonable(value: Any) -> Any:
    if hasattr(value, "to_dicts"):
        return [_jsonable(row) for row in value.to_dicts()]
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(v) for v in value]
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    if hasattr(value, "item"):
        return _jsonable(value.item())
    return str(value)


def show_table(frame: pl.DataFrame, *, title: str | None = None, limit: int | None = None) -> None:
    """Print a frame as a rich table on stdout; ``limit`` rows, saying how many were left out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = frame if limit is None else frame.head(limit)
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, dtype in shown.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in shown.iter_rows():
        table.add_row(*(escape(_cell(v)) for v in row))
    wide = None if sys.stdout.isatty() else 200
    console = Console(width=wide, highlight=False)
    console.print(table)
    if limit is not None and frame.height > limit:
        console.print(f"… and {frame.height - limit:,} more rows")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, (list, tuple)):
        return " ".join(_cell(v) for v in value)
    return str(value)
