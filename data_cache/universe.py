"""Named lists of companies, each with its link of the value chain and how much of the thesis it carries.

A list is a CSV file in ``universes/``. ``liquid_cooling`` holds the companies the call note names and their
listed peers. It was chosen with hindsight: these names are known today because the theme came true, some were
listed only in its course, and peers that failed are missing. A return measured on it is an upper sketch, and
every result on it has to say so.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files

import polars as pl

from data_cache.errors import UnknownName, UnknownSymbol
from data_cache.symbols import parse_all

__all__ = ["COOLING", "SEGMENTS", "load_universe", "members", "universes"]

COOLING = ("cold_plate", "cdu", "connector", "manifold_piping", "coolant", "room_cooling")
"""The links that carry heat away: what a ``full_chain`` company makes all of."""
SEGMENTS = ("full_chain", *COOLING, "server_switch", "datacenter", "power", "optical_module", "chip")
"""The links of the chain, from the coolant outward; a universe's ``segment`` is one of these."""


def universes() -> list[str]:
    """The names ``load_universe`` accepts, sorted."""
    folder = files("data_cache").joinpath("universes")
    return sorted(f.name.removesuffix(".csv") for f in folder.iterdir() if f.name.endswith(".csv"))


def load_universe(name: str = "liquid_cooling") -> pl.DataFrame:
    """Read one list.

    Args:
        name: one of ``universes()``.

    Returns:
        One row a company, no nulls: ``symbol`` (``002837.SZ``), ``name`` (short name today), ``segment``
        (one of ``SEGMENTS``), ``exposure`` (0 to 1: its part in the thesis), ``why`` (a sentence).

    Raises:
        UnknownName: where no such list exists; the nearest is suggested.
    """
    if name not in universes():
        raise UnknownName("universe", name, universes())
    text = files("data_cache").joinpath("universes", f"{name}.csv").read_bytes()
    return pl.read_csv(text, schema_overrides={"exposure": pl.Float64})


def members(symbols: Collection[str], table: pl.DataFrame, name: str) -> list[str]:
    """Symbols in the one spelling, each a member of a list.

    Args:
        symbols: in any spelling; one text alone is one symbol.
        table: the list.
        name: its name, for the message.

    Raises:
        UnknownSymbol: when one is not in the list, or no symbol at all.
    """
    asked, listed = parse_all(symbols), table["symbol"].to_list()
    if strangers := [symbol for symbol in asked if symbol not in listed]:
        raise UnknownSymbol(
            f"{', '.join(strangers)} is not among the {len(listed)} companies of universe {name!r}; name one that is, "
            f"e.g. {listed[0]}"
        )
    return asked
