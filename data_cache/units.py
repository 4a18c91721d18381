"""What a vendor's volume, amount and prices are counted in, told from the figures themselves.

1. Where a bar has an amount, amount / volume is its average price, which lies between low and high. In other
   units it is a power of ten beside it: lots and yuan give 100 x, lots and thousand yuan (tushare) 0.1 x, and
   so on; all six combinations differ, so the median ratio of a symbol names one of them (``detect_units``).
2. Adjusted prices stand off from the traded ones by the factor. Forward-adjusted prices meet them at a file's
   last bars and backward-adjusted ones at its first, so only twenty bars there are asked.
3. Where nothing fits, or symbols disagree, the file is refused: a guess would be wrong by a hundred.
4. As-traded prices are whole fen (``on_tick_grid``); adjusted ones rarely are.
"""

from __future__ import annotations

import math

import polars as pl

from data_cache.errors import UsageError

__all__ = ["AMOUNT_UNITS", "PRICES", "VOLUME_UNITS", "basis_in_name", "detect_units", "on_tick_grid"]

PRICES = ("open", "high", "low", "close")
VOLUME_UNITS = {"shares": 1, "lots": 100}
"""Shares in one unit of volume."""
AMOUNT_UNITS = {"yuan": 1, "thousand": 1_000, "10k": 10_000}
"""Yuan in one unit of amount."""

_TOLERANCE = 1.25  # a day's average price against the middle of its range; the units are factors of ten apart
_NEAR = 20  # bars asked at the end where adjusted prices are the traded ones
_MOST = 0.8  # of the symbols of an adjusted file: an old ex-date inside those bars may blur the others
_NAMED = {
    "qfq": "qfq",
    "前复权": "qfq",
    "hfq": "hfq",
    "后复权": "hfq",
    "raw": "raw",
    "bfq": "raw",
    "不复权": "raw",
}


def basis_in_name(stem: str) -> str | None:
    """The basis a file's name states (``basket_qfq_b``, ``日线_前复权``); None if none or two."""
    words = "".join(c if c.isascii() and c.isalpha() else " " for c in stem.lower()).split()
    found = {basis for word, basis in _NAMED.items() if (word in words if word.isascii() else word in stem)}
    return found.pop() if len(found) == 1 else None


def on_tick_grid(bars: pl.DataFrame) -> bool:
    """Whether every price is a whole number of fen (to a fiftieth of one, for files kept in 32 bits)."""
    fen = pl.col(PRICES) * 100
    return bool(bars.select(pl.all_horizontal(((fen - fen.round()).abs() < 0.02).all())).item())


def detect_units(
    bars: pl.DataFrame, *, basis: str, volume_unit: str | None, amount_unit: str | None
) -> tuple[str, str]:
    """Tell the units of volume and amount.

    Args:
        bars: symbol, date, high, low, volume, amount; amount null where unknown.
        basis: ``raw``, ``qfq`` or ``hfq``.
        volume_unit: what the caller or the heading says; None to find out.
        amount_unit: likewise.

    Returns:
        A key of ``VOLUME_UNITS`` and one of ``AMOUNT_UNITS``. Without any amount: shares, unless told.

    Raises:
        UsageError: ambiguous; shows the ratio found and the flags that settle it.
    """
    if volume_unit and amount_unit:
        return volume_unit, amount_unit
    positive = pl.all_horizontal(pl.col("volume", "amount", "high", "low") > 0)
    known = bars.filter(positive).sort("symbol", "date")
    if not known.height:
        return volume_unit or "shares", amount_unit or "yuan"
    ratio = pl.col("amount") / pl.col("volume") / ((pl.col("high") + pl.col("low")) / 2)
    near = {"raw": ratio, "qfq": ratio.tail(_NEAR), "hfq": ratio.head(_NEAR)}[basis]
    by_symbol = known.group_by("symbol", maintain_order=True).agg(near.median().alias("ratio"))
    found: dict[tuple[str, str] | None, list[tuple[str, float]]] = {}
    for symbol, value in by_symbol.iter_rows():
        found.setdefault(_fitting(value, volume_unit, amount_unit), []).append((symbol, value))
    units, agreeing = max(found.items(), key=lambda item: len(item[1]))
    if units is not None and len(agreeing) >= by_symbol.height * (1.0 if basis == "raw" else _MOST):
        return units
    symbol, value = next(rows[0] for key, rows in found.items() if key != units or key is None)
    others = (
        f"while {agreeing[0][0]} and {len(agreeing) - 1} more look like {units[0]} and {units[1]}; "
        if units is not None
        else ""
    )
    raise UsageError(
        f"units are ambiguous: amount / volume is {value:.4g} times the price of {symbol}; {others}"
        "1 means shares and yuan, 100 lots and yuan, 0.1 lots and thousand yuan, 0.001 shares and thousand "
        "yuan, 0.01 lots and 10k yuan, 0.0001 shares and 10k yuan. Say which with --volume-unit shares|lots "
        "and --amount-unit yuan|thousand|10k (or --basis, if the prices are adjusted otherwise than taken: "
        f"{basis})"
    )


def _fitting(ratio: float, volume_unit: str | None, amount_unit: str | None) -> tuple[str, str] | None:
    """The units under which ``ratio`` becomes one; None where none of the allowed does."""
    if not 0 < ratio < math.inf:
        return None
    for volume, shares in VOLUME_UNITS.items():
        for amount, yuan in AMOUNT_UNITS.items():
            allowed = volume_unit in (None, volume) and amount_unit in (None, amount)
            if allowed and abs(math.log(ratio * yuan / shares)) < math.log(_TOLERANCE):
                return volume, amount
    return None
