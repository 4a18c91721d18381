"""The shape of every table the store keeps, declared once; each rule's name is the failure's name.

Prices are yuan, volumes shares, amounts yuan, factors and rates plain fractions. A null is "not known" and
stays null. ``Schema.filter(frame)`` returns the good rows and, beside them, the bad ones by rule.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

from data_cache.calendar import FIRST_AUCTION

__all__ = [
    "BASES",
    "CERTAINTIES",
    "Bars",
    "Calendar",
    "CorporateActions",
    "Events",
    "Factors",
    "IndexBars",
    "Instruments",
    "NameHistory",
    "Notes",
    "Suspensions",
]

SYMBOL = r"^\d{6}\.(SZ|SH|BJ)$"
BASES = ("raw", "qfq", "hfq")
"""How prices are adjusted: as traded, forward- (today's price is the traded one), backward-adjusted."""
CERTAINTIES = ("fact", "forecast", "opinion", "conditional")


class _Ohlc(dy.Schema):
    symbol = dy.String(primary_key=True, regex=SYMBOL)
    date = dy.Date(primary_key=True)
    open = dy.Float64(min_exclusive=0)
    high = dy.Float64(min_exclusive=0)
    low = dy.Float64(min_exclusive=0)
    close = dy.Float64(min_exclusive=0)

    @dy.rule()
    def high_is_highest(cls) -> pl.Expr:
        """No price of the day lies above its high."""
        return pl.col("high") >= pl.max_horizontal("open", "close", "low")

    @dy.rule()
    def low_is_lowest(cls) -> pl.Expr:
        """No price of the day lies below its low."""
        return pl.col("low") <= pl.min_horizontal("open", "close", "high")


class Bars(_Ohlc):
    """One traded session of one stock: yuan, shares, yuan. ``amount`` is null where the source has none."""

    volume = dy.Int64(min_exclusive=0)
    amount = dy.Float64(nullable=True, min_exclusive=0)


class IndexBars(_Ohlc):
    """One session of an index, in index points; ``volume`` (shares) is null where the source has none."""

    volume = dy.Int64(nullable=True, min=0)


class Factors(dy.Schema):
    """Backward adjustment, one row at listing and one at each ex-date; holds until the next row.

    ``factor``: cumulative, 1.0 at listing; adjusted (hfq) price = raw price x factor.
    """

    symbol = dy.String(primary_key=True, regex=SYMBOL)
    date = dy.Date(primary_key=True)
    factor = dy.Float64(min_exclusive=0)


class CorporateActions(dy.Schema):
    """What a share received on an ex-date, per share held before it (vendors quote per ten)."""

    symbol = dy.String(primary_key=True, regex=SYMBOL)
    ex_date = dy.Date(primary_key=True)
    cash = dy.Float64(min=0)  # yuan per share before tax
    bonus = dy.Float64(min=0)  # new shares per share from profit (songgu)
    transfer = dy.Float64(min=0)  # new shares per share from reserves (zhuanzeng)
    record_date = dy.Date(nullable=True)
    announced_on = dy.Date(nullable=True)


class Instruments(dy.Schema):
    """Every name that ever traded, delisted ones included."""

    symbol = dy.String(primary_key=True, regex=SYMBOL)
    name = dy.String(nullable=True)  # the latest short name
    board = dy.String(check=lambda c: c.is_in(["sse_main", "szse_main", "chinext", "star", "bse"]))
    listed = dy.Date(nullable=True)
    delisted = dy.Date(nullable=True)  # first date it no longer trades


class NameHistory(dy.Schema):
    """Short names by date: the source of ST, *ST and delisting-period spells."""

    symbol = dy.String(primary_key=True, regex=SYMBOL)
    valid_from = dy.Date(primary_key=True)
    name = dy.String()


class Suspensions(dy.Schema):
    """Full sessions without trading."""

    symbol = dy.String(primary_key=True, regex=SYMBOL)
    date = dy.Date(primary_key=True)
    reason = dy.String(nullable=True)


class Calendar(dy.Schema):
    """Trading sessions of the mainland exchanges."""

    date = dy.Date(primary_key=True)


class Events(dy.Schema):
    """Something that happened, or was said, that may move the basket.

    ``polarity`` is for the liquid-cooling basket (-1, 0, +1); ``strength`` is 0..1 from the type-level table.
    ``known_at`` alone decides when it can be traded. ``symbols`` are those named directly, ``segments`` the
    value-chain links it bears on; both may be empty (the whole market). ``span_start``/``span_end`` are
    character offsets into the untouched note, null for a timeline event. ``subject`` is a canonical entity.
    """

    event_id = dy.String(primary_key=True)
    kind = dy.String()
    subject = dy.String(nullable=True)
    polarity = dy.Int8(min=-1, max=1)
    strength = dy.Float64(min=0, max=1)
    certainty = dy.String(check=lambda c: c.is_in(CERTAINTIES))
    occurred_on = dy.Date(nullable=True)
    known_at = dy.Datetime(time_zone="Asia/Shanghai", time_unit="us")
    symbols = dy.List(dy.String())
    segments = dy.List(dy.String())
    magnitudes = dy.List(
        dy.Struct(
            {
                "quantity": dy.String(),  # what is measured: power, share, gross_margin, market_size, ...
                "unit": dy.String(),  # kW, W, fraction, CNY, USD, count, year, ...
                "low": dy.Float64(nullable=True),  # a lost bound stays null
                "high": dy.Float64(nullable=True),
            }
        )
    )
    source = dy.String()  # note id, or "timeline"
    title = dy.String(nullable=True)  # our own short words, or null; never another author's sentence
    span_start = dy.Int64(nullable=True, min=0)
    span_end = dy.Int64(nullable=True, min=0)
    extractor = dy.String()
    ingested_at = dy.Datetime(time_zone="UTC", time_unit="us")

    @dy.rule()
    def known_within_calendar(cls) -> pl.Expr:
        """Nothing was knowable before the exchange's first opening auction: no session could trade it."""
        return pl.col("known_at") >= FIRST_AUCTION

    @dy.rule()
    def span_is_ordered(cls) -> pl.Expr:
        """A span has both ends, the second after the first."""
        start, end = pl.col("span_start"), pl.col("span_end")
        return (start.is_null() & end.is_null()) | (end > start).fill_null(value=False)


class Notes(dy.Schema):
    """One text as it was read; the text itself stays in the user's own store, so a page can quote a span."""

    note_id = dy.String(primary_key=True)  # file stem + "-" + first 8 digits of sha256
    sha256 = dy.String(regex=r"^[0-9a-f]{64}$")
    path = dy.String(nullable=True)
    title = dy.String(nullable=True)
    source = dy.String(nullable=True)
    speaker = dy.String(nullable=True)
    published_at = dy.Datetime(time_zone="Asia/Shanghai", time_unit="us")
    text = dy.String()
    ingested_at = dy.Datetime(time_zone="UTC", time_unit="us")
