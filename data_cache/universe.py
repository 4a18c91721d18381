"""Named lists of companies, each with its link of the value chain and how much of the thesis it carries.

A list is a CSV file in ``universes/``. ``liquid_cooling`` holds the companies the call note names and their
listed peers. It was chosen with hindsight: these names are known today because the theme came true, some were
listed only in its course, and peers that failed are missing. A return measured on it is an upper sketch, and
every result on it has to say so.
"""

from __future__ import annotations

from importlib.resources import files

import polars as pl

from data_cache.errors import UnknownName

__all__ = ["COOLING", "SEGMENTS", "load_universe", "universes"]

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
