"""Bars as dense arrays, sessions down and symbols across, built by stored integers and kept beside the store.

1. ``axes`` asks DuckDB for the first and last session and the symbols.
2. ``build`` streams the rows and places each field in its array by two look-up tables.
3. ``load`` answers a whole-market request from ``.npy`` files, made on first use and named by the last put on bars
   and its time: a store restored to an earlier state counts its puts anew.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from data_cache.database import query, reading, scalar
from data_cache.tables import TABLES, decode, rows_at

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

__all__ = ["FIELDS", "Panel", "load"]

FIELDS = ("open", "high", "low", "close", "volume", "amount")
_CACHED_ROWS = 1_000_000  # below this many bars a build takes less time than a file is worth
_BATCH = 500_000
_NAMED = 1_000  # symbols listed in a query; more are read with all the others


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no one truth value to compare
class Panel:
    """Dense daily bars of one price basis.

    Args:
        dates: the T sessions, ``datetime64[D]``, ascending; every session of the range, traded or not.
        symbols: the N symbols, in the order asked for, else sorted.
        basis: of the prices.
        fields: by name, a read-only T x N float64 array; NaN where there is no bar or no value. A symbol's history
            lies in one piece (Fortran order).
    """

    dates: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    basis: str
    fields: Mapping[str, NDArray[np.float64]]

    def __getitem__(self, field: str) -> NDArray[np.float64]:
        return self.fields[field]


def load(
    path: Path,
    *,
    store_id: str,
    put: int | None,
    basis: str,
    fields: Sequence[str],
    codes: NDArray[np.int32] | None,
    start: np.datetime64 | None,
    end: np.datetime64 | None,
) -> Panel:
    """The panel of some fields; see ``Store.panel``."""
    with reading(path) as connection:
        source = f"{rows_at(TABLES['bars'], put)} t"
        limit = "true" if put is None else f"put <= {put}"
        version = scalar(
            connection,
            "SELECT concat_ws('-', max(put), epoch_us(max(recorded_at))) FROM puts "  # neither runs backwards
            f"WHERE \"table\" = 'bars' AND {limit}",
        )
        kept = path.with_name(f"{path.name}.panels") / f"{store_id}-{version}-{basis}"
        with suppress(OSError, ValueError, EOFError):  # none kept, or not whole
            return _slice(_kept(kept, fields, basis), codes, start, end)
        dates, all_codes, rows = _axes(connection, source, basis)
        if codes is None and rows >= _CACHED_ROWS:
            whole = _build(connection, source, basis, fields, dates, all_codes)
            _keep(kept, whole, all_codes)
            return _slice(whole, codes, start, end)
        wanted = all_codes if codes is None else codes
        dates = dates[slice(*_range(dates, start, end))]
        return _build(connection, source, basis, fields, dates, wanted)


def _axes(
    connection: duckdb.DuckDBPyConnection, source: str, basis: str
) -> tuple[NDArray[np.datetime64], NDArray[np.int32], int]:
    """The sessions from the first bar to the last, the codes of the symbols with bars, the number of bars."""
    if source == "bars t":  # bar_tips knows, without a look at every bar
        tips = query(
            connection, f"SELECT symbol, before FROM bar_tips WHERE basis = '{basis}' ORDER BY symbol"
        )
        codes, rows = tips["symbol"], int(tips["before"].sum()) + tips.height
    else:
        found = query(
            connection, f"SELECT symbol, count(*) AS n FROM {source} WHERE basis = '{basis}' GROUP BY 1"
        )
        codes, rows = found["symbol"].sort(), int(found["n"].sum())
    sessions = query(
        connection,
        f"SELECT date FROM calendar WHERE date BETWEEN (SELECT min(date) FROM {source} WHERE basis = '{basis}') "
        f"AND (SELECT max(date) FROM {source} WHERE basis = '{basis}') ORDER BY date",
    )
    dates = sessions["date"].to_numpy().astype("datetime64[D]")
    return dates, codes.to_numpy(), rows


def _build(
    connection: Any,
    source: str,
    basis: str,
    fields: Sequence[str],
    dates: NDArray[np.datetime64],
    codes: NDArray[np.int32],
) -> Panel:
    # Symbol by symbol, as a store is filled and so mostly lies on the disk: placing a bar then stays in the cache.
    flat = {name: np.full(len(codes) * len(dates), np.nan) for name in fields}
    if len(dates) and len(codes):
        days = dates.astype(np.int64)
        row_of = np.zeros(days[-1] - days[0] + 1, np.int64)
        row_of[days - days[0]] = np.arange(len(days))
        column_of = np.full(4_000_000, -1, np.int64)  # by stored integer: six digits x four exchanges
        column_of[codes] = np.arange(len(codes)) * len(dates)
        few = f"AND symbol IN ({', '.join(map(str, codes))})" if len(codes) <= _NAMED else ""
        selected = ", ".join(f"{name}::DOUBLE AS {name}" for name in fields)
        batches = connection.sql(
            f"SELECT symbol, date, {selected} FROM {source} WHERE basis = '{basis}' "
            f"AND date BETWEEN '{dates[0]}' AND '{dates[-1]}' {few}"
        ).to_arrow_reader(_BATCH)
        for batch in batches:
            frame = pl.DataFrame(pl.from_arrow(batch))  # pyarrow's own to_numpy would import pandas
            column = column_of[frame["symbol"].to_numpy()]
            place = column + row_of[frame["date"].to_physical().to_numpy() - days[0]]
            asked = column >= 0
            everything = asked.all()
            place = place if everything else place[asked]
            for name, values in flat.items():
                found = frame[name].to_numpy()  # NaN for null
                values[place] = found if everything else found[asked]
    arrays = {name: values.reshape(len(codes), len(dates)).T for name, values in flat.items()}
    for array in arrays.values():
        array.flags.writeable = False
    return Panel(dates, tuple(decode(pl.Series(codes))), basis, arrays)


def _slice(
    whole: Panel, codes: NDArray[np.int32] | None, start: np.datetime64 | None, end: np.datetime64 | None
) -> Panel:
    first, last = _range(whole.dates, start, end)
    fields = {name: array[first:last] for name, array in whole.fields.items()}
    symbols = whole.symbols
    if codes is not None:
        symbols = tuple(decode(pl.Series(codes)))
        place = {symbol: i for i, symbol in enumerate(whole.symbols)}
        columns = np.array([place.get(symbol, -1) for symbol in symbols])
        fields = {name: np.where(columns >= 0, array[:, columns], np.nan) for name, array in fields.items()}
        for array in fields.values():
            array.flags.writeable = False
    return Panel(whole.dates[first:last], symbols, whole.basis, fields)


def _range(
    dates: NDArray[np.datetime64], start: np.datetime64 | None, end: np.datetime64 | None
) -> tuple[int, int]:
    first = 0 if start is None else int(np.searchsorted(dates, start, "left"))
    last = len(dates) if end is None else int(np.searchsorted(dates, end, "right"))
    return first, max(first, last)


def _kept(folder: Path, fields: Sequence[str], basis: str) -> Panel:
    codes = np.load(folder / "symbols.npy")
    arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in fields}
    return Panel(np.load(folder / "dates.npy"), tuple(decode(pl.Series(codes))), basis, arrays)


def _keep(folder: Path, panel: Panel, codes: NDArray[np.int32]) -> None:
    """Write the arrays, each whole or not at all, and drop those of earlier states; best effort."""
    try:
        folder.parent.mkdir(exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent))
        for name, array in {"symbols": codes, "dates": panel.dates, **panel.fields}.items():
            np.save(temporary / f"{name}.npy", array)
        folder.mkdir(exist_ok=True)
        for file in temporary.iterdir():
            file.replace(folder / file.name)
        temporary.rmdir()
        for other in folder.parent.iterdir():
            if other != folder and other.name.endswith(folder.name.rpartition("-")[2]):
                shutil.rmtree(other, ignore_errors=True)
    except OSError:
        return  # a full disk or a folder not ours to write costs time, not correctness
