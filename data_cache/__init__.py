"""What was true, and when it was known: the DuckDB store, its sources, the calendar and the rule book."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_cache.errors import (
        AshareError,
        IntegrityError,
        NoData,
        Partial,
        ProvidersFailed,
        StorageError,
        StoreBusy,
        UndatedNote,
        UnknownName,
        UnknownSymbol,
        UsageError,
    )
    from data_cache.store import Store, Written
    from data_cache.symbols import Symbol

__all__ = [
    "AshareError",
    "IntegrityError",
    "NoData",
    "Partial",
    "ProvidersFailed",
    "StorageError",
    "Store",
    "StoreBusy",
    "Symbol",
    "UndatedNote",
    "UnknownName",
    "UnknownSymbol",
    "UsageError",
    "Written",
]

_ELSEWHERE = {"Store": "store", "Written": "puts", "Symbol": "symbols"}


def __getattr__(name: str) -> Any:
    # Lazy, so that `from data_cache.errors import ...` does not start DuckDB and polars.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"data_cache.{_ELSEWHERE.get(name, 'errors')}"), name)
