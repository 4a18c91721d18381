"""What every test shares: where the real data lies, and how deep hypothesis digs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "test", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "nightly", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout; skips the test, saying so, where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real data in {SHARED.name}/ beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def sample_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample store with the sample notes' events; made once, to be read only."""
    from data_cache import sample
    from data_cache.store import Store
    from signals.extraction import extract
    from signals.note import read_note

    path = tmp_path_factory.mktemp("sample") / "sample.duckdb"
    store = Store.create(path, sample=True)
    sample.fill(store)
    for note_path in sample.notes():
        note = read_note(note_path)
        store.put_note(note)
        store.put_events(extract(note))
    return path
