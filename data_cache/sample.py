"""The sample market and the sample notes, so that everything can be tried offline before any data is fetched.

Companies, prices and notes are invented; only the sessions and the exchange's rules are real. A store filled
with them says so for ever (``Store.is_sample``), and every table and page made from it says SAMPLE.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from data_cache.errors import UsageError

if TYPE_CHECKING:
    from data_cache.store import Store

__all__ = ["SEED", "SOURCE", "UNIVERSE", "fill", "notes"]

SEED = 20210104
SOURCE = "sample"
UNIVERSE = "sample"
"""The list of its companies: ``load_universe("sample")``."""


def fill(store: Store, *, seed: int = SEED) -> None:
    """Put the generated market into a sample store; the same seed again changes nothing.

    Args:
        store: made by ``Store.create(path, sample=True)``.
        seed: the same seed gives the same market to the fen.

    Raises:
        UsageError: the store holds real data.
    """
    if not store.is_sample:
        raise UsageError(
            f"{store.path} holds real data; make a sample store with Store.create(path, sample=True)"
        )
    from data_cache.sample_market import generate
    from data_cache.universe import load_universe

    market = generate(store.calendar(), load_universe(UNIVERSE), seed)
    store.put_instruments(market.instruments, source=SOURCE)
    store.put_name_history(market.name_history, source=SOURCE)
    store.put_suspensions(market.suspensions, source=SOURCE)
    store.put_corporate_actions(market.corporate_actions, source=SOURCE)
    store.put_factors(market.factors, source=SOURCE)
    store.put_bars(market.bars, source=SOURCE)
    store.put_index_bars(market.index_bars, source=SOURCE)


def notes() -> list[Path]:
    """The sample notes, oldest first: transcripts and an essay of our own, about invented companies."""
    folder = files("data_cache").joinpath("sample_notes")
    found = [Path(str(file)) for file in folder.iterdir() if file.name.endswith(".txt")]
    return sorted(found, key=_published)


def _published(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("published_at:"))
