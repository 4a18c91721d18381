"""The run card: everything that must be known to get the same figures again, and what to be wary of.

A card names the data (the store's snapshot), the code (a hash of the four packages), the rule book, the
universe, the strategy with its parameters, and the execution assumptions. Two runs with equal cards give equal
fills, to the cent.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import importlib.metadata
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from strategies import Strategy

__all__ = ["RunCard", "code_hash", "frame_hash", "library_versions", "parameters", "rules_hash", "version"]

PACKAGES = ("data_cache", "signals", "strategies", "backtest")
LIBRARIES = ("polars", "duckdb", "numba", "numpy", "vectorbt")


@dataclasses.dataclass(frozen=True, slots=True)
class RunCard:
    """What one result rests on.

    ``caveats`` are sentences for the reader of the result: hindsight, adjusted prices, doubtful rules, sample
    data. ``snapshot`` opens the same data again: ``Store.open(path, as_of=card.snapshot)``.
    """

    strategy: str
    parameters: dict[str, Any]
    snapshot: str
    sample: bool
    basis: str
    universe: str
    universe_hash: str
    symbols: tuple[str, ...]
    missing_symbols: tuple[str, ...]
    start: dt.date
    end: dt.date
    cash: float
    execution: dict[str, Any]
    engine: str
    rules_hash: str
    code_hash: str
    version: str
    libraries: dict[str, str]
    caveats: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The card as plain values, and its own hash under ``card_id``."""
        fields = dataclasses.asdict(self)
        return {"card_id": self.card_id, **fields}

    @property
    def card_id(self) -> str:
        """Twelve hex digits over every field but the caveats."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k != "caveats"}
        return _digest(json.dumps(fields, sort_keys=True, default=str).encode())


def parameters(strategy: Strategy) -> dict[str, Any]:
    """A strategy's fields by name: its parameters."""
    return dataclasses.asdict(strategy)  # type: ignore[call-overload,no-any-return]


@functools.cache
def code_hash() -> str:
    """Twelve hex digits over every source and data file of the four packages."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for name, content in _files(resources.files(package), package):
            digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


@functools.cache
def rules_hash() -> str:
    """Twelve hex digits over the rule book."""
    return _digest((resources.files("data_cache") / "data" / "rules.csv").read_bytes())


def version() -> str:
    """The installed version of this library."""
    return importlib.metadata.version("ashare-signals")


@functools.cache
def library_versions() -> dict[str, str]:
    """The installed versions of what the figures pass through."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def frame_hash(frame: pl.DataFrame) -> str:
    """Twelve hex digits over a small frame's rows, in their order."""
    return _digest(frame.write_csv().encode())


def _files(folder: Any, name: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            if entry.name != "__pycache__":
                found += _files(entry, path)
        elif not entry.name.endswith((".pyc", ".nbi", ".nbc")):
            found.append((path, entry.read_bytes()))
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
