"""A small panel written by hand: nothing in it comes from ``build_panel``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from strategies import ALL

KINDS = sorted({kind for cls in ALL.values() for kind in cls.kinds})


@pytest.fixture(scope="session")
def weekdays() -> list[dt.date]:
    """Sessions from Monday 2024-01-01 on: weekdays, no holidays."""
    return [d for n in range(700) if (d := dt.date(2024, 1, 1) + dt.timedelta(n)).weekday() < 5]


@pytest.fixture(scope="session")
def make_panel(weekdays: list[dt.date]) -> Callable[..., pl.LazyFrame]:
    """``make_panel({symbol: {...}}, n=30, active_from=0, news={(session, symbol): {column: value}})``.

    A symbol's keys: segment, exposure, first (session of its first bar), close (a number or a list by session),
    gaps (sessions without trade), value_share (by session or one number).
    """

    def build(
        symbols: Mapping[str, Mapping[str, Any]],
        n: int = 30,
        *,
        active_from: int = 0,
        news: Mapping[tuple[int, str], Mapping[str, float]] | None = None,
    ) -> pl.LazyFrame:
        def by_session(value: Any, i: int) -> Any:
            return value[i] if isinstance(value, Sequence) else value

        rows = []
        for symbol, given in symbols.items():
            for i in range(given.get("first", 0), n):
                traded = i not in given.get("gaps", ())
                close = float(by_session(given.get("close", 10.0), i))
                rows.append(
                    {
                        "date": weekdays[i], "symbol": symbol, "open": close if traded else None,
                        "high": close if traded else None, "low": close if traded else None, "close": close,
                        "volume": 1000 if traded else None, "amount": None, "traded": traded, "name": symbol,
                        "segment": given.get("segment", "cdu"), "exposure": given.get("exposure", 1.0),
                        "value_share": by_session(given.get("value_share"), i), "active": i >= active_from,
                        **{f"{prefix}_{kind}": 0.0 for prefix in ("score", "new") for kind in KINDS},
                        **(news or {}).get((i, symbol), {}),
                    }
                )  # fmt: skip
        floats = dict.fromkeys(
            ("open", "high", "low", "close", "amount", "value_share", "exposure"), pl.Float64
        )
        floats |= {f"{prefix}_{kind}": pl.Float64 for prefix in ("score", "new") for kind in KINDS}
        return pl.DataFrame(rows, schema_overrides={**floats, "volume": pl.Int64}).lazy()

    return build


@pytest.fixture(scope="session")
def books(weekdays: list[dt.date]) -> Callable[[pl.LazyFrame], dict[int, dict[str, float]]]:
    """Targets as {session: {symbol: weight}}."""

    def read(targets: pl.LazyFrame) -> dict[int, dict[str, float]]:
        frame = targets.collect()
        assert frame.columns == ["date", "symbol", "weight"]
        out: dict[int, dict[str, float]] = {}
        for date, symbol, weight in frame.iter_rows():
            out.setdefault(weekdays.index(date), {})[symbol] = weight
        return out

    return read
