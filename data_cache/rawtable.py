"""A file of someone else's as a frame of its own cells, before any of them is understood.

1. the bytes decide what it is: Parquet by its magic number, or text; pages, workbooks refused;
2. text is decoded as UTF-8 (with or without a byte-order mark) or GBK, and split at the separator its first
   line uses; every cell stays the text it was, so that a bad one can be quoted as it stands in the file;
3. every row keeps its place: the line of a text file (the heading is line 1), the row of a Parquet file.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_cache.errors import IntegrityError, UsageError

__all__ = ["PLACE", "RawTable", "read_raw"]

PLACE = "__place"
"""The column that holds each row's line or row number, from 1."""


@dataclass(frozen=True, slots=True, eq=False)  # eq: frames do not compare to one truth value
class RawTable:
    """The cells of one file.

    Args:
        path: Where it was read.
        frame: Its columns under their own headings, and ``PLACE``.
        place: What ``PLACE`` counts: ``line`` in a text file, ``row`` in Parquet.
    """

    path: Path
    frame: pl.DataFrame
    place: str

    @property
    def headings(self) -> list[str]:
        """The file's own headings, in order."""
        return [name for name in self.frame.columns if name != PLACE]

    def refuse(self, bad: pl.Series, column: str, wanted: str) -> None:
        """Refuse the whole file for the first row where ``bad`` is true; nothing where none is.

        Args:
            bad: One truth value a row; null counts as false.
            column: The heading the value stands under.
            wanted: What would have been read, e.g. ``"a date such as 2024-01-02"``.

        Raises:
            IntegrityError: names the file, the line or row, the column and the value.
        """
        places = self.frame.get_column(PLACE).filter(bad.fill_null(value=False))
        if not places.len():
            return
        value = self.frame.filter(pl.col(PLACE) == places[0]).get_column(column)[0]
        more = f" ({places.len() - 1:,} more such rows)" if places.len() > 1 else ""
        raise IntegrityError(
            f"{self.path.name}, {self.place} {places[0]}, column {column!r}: {_quoted(value)} is not "
            f"{wanted}{more}; correct the file and import it again; nothing of it was stored"
        )


def read_raw(path: Path | str) -> RawTable:
    """Read a Parquet or delimited text file (``.gz`` too) without interpreting its cells.

    Raises:
        UsageError: the file is absent, empty, cut short, or no table at all; says what it looks like.
        IntegrityError: a line has more or fewer fields than the heading line.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; check the name") from None
    except IsADirectoryError:
        raise UsageError(
            f"{path} is a folder; name the files in it, or a folder `ashare export` wrote"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error):
            raise UsageError(f"{path.name} is a gzip file cut short or damaged; fetch it again") from None
    if not content.strip():
        raise UsageError(f"{path.name} is empty ({len(content)} bytes); export it again")
    if content[:4] == b"PAR1":
        return _parquet(path, content)
    if ".parquet" in path.suffixes or ".pq" in path.suffixes:
        raise UsageError(
            f"{path.name} is not a Parquet file: it {_looks_like(content)}; export it again as Parquet"
        )
    return _text(path, content)


def _parquet(path: Path, content: bytes) -> RawTable:
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError):
        raise UsageError(
            f"{path.name} begins as Parquet but cannot be read ({len(content):,} bytes): cut short or "
            "damaged; fetch or export it again"
        ) from None
    if not frame.height or not frame.width:
        raise UsageError(f"{path.name} holds no rows; export it again")
    return RawTable(path, frame.with_row_index(PLACE, offset=1), "row")


def _text(path: Path, content: bytes) -> RawTable:
    if content[:2] == b"PK" or b"\x00" in content[:4096] or content.lstrip()[:1] == b"<":
        raise UsageError(
            f"{path.name} {_looks_like(content)}, not a table; save it as CSV (UTF-8 or GBK) or Parquet"
        )
    text = _decoded(path, content)
    head = text.partition("\n")[0]
    separator = max(",\t;|", key=head.count)
    headings = [h.strip() for h in next(csv.reader([head], delimiter=separator), [])]
    if len(headings) < 2:
        raise UsageError(
            f"{path.name} has one column, headed {head[:60]!r}; needs a heading line and columns "
            "separated by commas, tabs, semicolons or bars"
        )
    if doubled := sorted({h for h in headings if headings.count(h) > 1}):
        raise UsageError(f"{path.name} has the heading {doubled[0]!r} twice; rename one of the two columns")
    try:
        frame = pl.read_csv(
            io.BytesIO(text.encode()),
            separator=separator,
            infer_schema=False,
            has_header=True,
            new_columns=headings,
        )
    except pl.exceptions.PolarsError:
        frame = None
    if frame is None or frame.get_column(headings[-1]).null_count():
        _refuse_ragged(path, text, separator, len(headings))
    if frame is None:
        raise UsageError(f"{path.name} cannot be read as a table: a quotation mark is left open; correct it")
    frame = frame.with_row_index(PLACE, offset=2)
    frame = frame.filter(~pl.all_horizontal(pl.col(headings).is_null()))  # blank lines
    if not frame.height:
        raise UsageError(f"{path.name} has headings and no rows; export it again")
    return RawTable(path, frame, "line")


def _refuse_ragged(path: Path, text: str, separator: str, width: int) -> None:
    """Name the first line with more or fewer fields than headings; polars pads a short one in silence."""
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    csv.field_size_limit(sys.maxsize)  # an open quotation mark makes the rest of the file one field
    for fields in reader:
        if fields and len(fields) != width:
            raise IntegrityError(
                f"{path.name}, line {reader.line_num}: {len(fields)} fields where the heading line has "
                f"{width} ({_quoted(separator.join(fields))}); the file is cut short or malformed there; "
                "nothing of it was stored"
            )


def _decoded(path: Path, content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
            return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
        except UnicodeDecodeError:
            continue
    raise UsageError(f"{path.name} is neither UTF-8 nor GBK text; save it in one of the two")


def _looks_like(content: bytes) -> str:
    if content.lstrip()[:1] == b"<":
        return "holds a web page (HTML or XML)"
    if content[:2] == b"PK":
        return "is a zip archive or an Excel workbook"
    if content[:15] == b"SQLite format 3" or content[8:12] == b"DUCK":
        return "is a database"
    return "is binary" if b"\x00" in content[:4096] else "holds text"


def _quoted(value: object) -> str:
    if value is None:
        return "an empty cell"
    shown = repr(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
