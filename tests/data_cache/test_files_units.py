"""Units and basis are told from the figures, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_cache.errors import UsageError
from data_cache.files import read_table
from data_cache.units import AMOUNT_UNITS, PRICES, VOLUME_UNITS, basis_in_name, detect_units, on_tick_grid


def market(symbols: int = 3, days: int = 60, seed: int = 1) -> pl.DataFrame:
    """As-traded bars: prices in whole fen, shares, yuan."""
    rng = np.random.default_rng(seed)
    frames = []
    for j in range(symbols):
        close = np.round(rng.uniform(5, 80) * np.exp(np.cumsum(rng.normal(0, 0.02, days))), 2)
        open_ = np.round(close * np.exp(rng.normal(0, 0.01, days)), 2)
        high, low = np.round(np.maximum(open_, close) * 1.01, 2), np.round(np.minimum(open_, close) * 0.99, 2)
        volume = rng.integers(1000, 9_000_000, days)
        amount = np.round(volume * (low + (high - low) * rng.uniform(0.1, 0.9, days)), 2)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [f"00283{j}.SZ"] * days,
                    "date": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 12, 31), eager=True)[:days],
                    "open": open_, "high": high, "low": low, "close": close,
                    "volume": volume, "amount": amount,
                }
            )
        )  # fmt: skip
    return pl.concat(frames)


@given(
    volume=st.sampled_from(sorted(VOLUME_UNITS)),
    amount=st.sampled_from(sorted(AMOUNT_UNITS)),
    told=st.sampled_from(["none", "volume", "amount"]),
    seed=st.integers(0, 10_000),
)
def test_every_pair_of_units_is_found(volume: str, amount: str, told: str, seed: int) -> None:
    frame = market(2, 30, seed).with_columns(
        pl.col("volume") / VOLUME_UNITS[volume], pl.col("amount") / AMOUNT_UNITS[amount]
    )
    found = detect_units(
        frame,
        basis="raw",
        volume_unit=volume if told == "volume" else None,
        amount_unit=amount if told == "amount" else None,
    )
    assert found == (volume, amount)


@pytest.mark.parametrize(("basis", "ends_at"), [("qfq", -1), ("hfq", 0)])
def test_adjusted_prices_are_asked_where_they_are_the_traded_ones(basis: str, ends_at: int) -> None:
    frame = market(4, 120)
    factor = np.where(np.arange(120) < 60, 1.0, 3.16)
    scale = pl.Series(np.tile(factor / factor[ends_at], 4))
    adjusted = frame.with_columns(pl.col(PRICES) * scale, pl.col("volume") / 100)
    assert detect_units(adjusted, basis=basis, volume_unit=None, amount_unit=None) == ("lots", "yuan")
    with pytest.raises(UsageError, match="ambiguous"):
        detect_units(adjusted, basis="raw", volume_unit=None, amount_unit=None)


def test_without_amount_volume_is_shares_unless_told() -> None:
    frame = market().with_columns(amount=pl.lit(None, dtype=pl.Float64))
    assert detect_units(frame, basis="raw", volume_unit=None, amount_unit=None) == ("shares", "yuan")
    assert detect_units(frame, basis="raw", volume_unit="lots", amount_unit=None) == ("lots", "yuan")


def test_symbols_that_disagree_are_refused(tmp_path: Path) -> None:
    """As when a vendor forgets the hundred for one family of codes."""
    frame = market().with_columns(
        pl.when(pl.col("symbol") == "002831.SZ")
        .then(pl.col("volume") // 100)
        .otherwise("volume")
        .alias("volume")
    )
    path = tmp_path / "mixed.parquet"
    frame.write_parquet(path)
    with pytest.raises(
        UsageError, match=r"mixed\.parquet: units are ambiguous.*002831\.SZ.*--volume-unit.*--amount-unit"
    ):
        read_table(path)
    (table,) = read_table(path, volume_unit="shares", amount_unit="yuan")
    assert table.frame["volume"].sum() == frame["volume"].sum()


def test_a_ratio_between_units_is_refused() -> None:
    frame = market().with_columns(pl.col("volume") * 7)
    with pytest.raises(UsageError, match="ambiguous"):
        detect_units(frame, basis="raw", volume_unit=None, amount_unit=None)


def test_told_units_scale_exactly(tmp_path: Path) -> None:
    frame = market()
    path = tmp_path / "lots.csv"
    path.write_text(frame.with_columns(pl.col("volume") / 100, pl.col("amount") / 10_000).write_csv())
    (table,) = read_table(path, volume_unit="lots", amount_unit="10k")
    assert table.frame["volume"].equals(frame["volume"])
    assert (table.frame["amount"] - frame["amount"]).abs().max() < 1e-3  # type: ignore[operator]


@pytest.mark.parametrize(
    ("stem", "basis"),
    [
        ("basket_qfq_b", "qfq"), ("daily-HFQ", "hfq"), ("basket_raw", "raw"), ("日线_前复权", "qfq"),
        ("不复权", "raw"), ("后复权2024", "hfq"), ("daily", None), ("drawings", None), ("raw_and_qfq", None),
    ],
)  # fmt: skip
def test_the_basis_a_name_states(stem: str, basis: str | None) -> None:
    assert basis_in_name(stem) == basis


def test_basis_from_name_flag_grid_or_refusal(tmp_path: Path) -> None:
    raw = market().drop("amount")
    off = raw.with_columns(pl.col(PRICES) * 0.7654321)
    for name, frame in (("daily", raw), ("daily_qfq", off), ("odd", off)):
        frame.write_parquet(tmp_path / f"{name}.parquet")
    assert on_tick_grid(raw)
    assert not on_tick_grid(off)
    (table,) = read_table(tmp_path / "daily.parquet")
    assert table.basis == "raw"
    assert any("no amount confirms it" in remark for remark in table.remarks)
    (table,) = read_table(tmp_path / "daily_qfq.parquet")
    assert (table.basis, table.remarks[0]) == ("qfq", "basis qfq: the file's name says so")
    with pytest.raises(UsageError, match=r"--basis qfq.*--basis hfq"):
        read_table(tmp_path / "odd.parquet")
    (table,) = read_table(tmp_path / "odd.parquet", basis="hfq")
    assert table.basis == "hfq"
    with pytest.raises(UsageError, match="'post'"):
        read_table(tmp_path / "odd.parquet", basis="post")


def test_thirty_two_bit_prices_come_out_as_whole_fen(tmp_path: Path) -> None:
    frame = market()
    path = tmp_path / "daily.parquet"
    frame.with_columns(pl.col(PRICES).cast(pl.Float32)).write_parquet(path)
    (table,) = read_table(path)
    assert table.basis == "raw"
    assert table.frame.equals(frame)
