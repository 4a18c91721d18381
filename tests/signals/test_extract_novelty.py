"""Across notes the first telling counts."""

from __future__ import annotations

import polars as pl

from signals.extract import extract
from signals.note import note_from_text
from signals.novelty import drop_told

TEXT = "去年 NVL72 机柜推迟了。英维克已经打入英伟达的供应链。"


def events(name: str, known_at: str, text: str = TEXT) -> pl.DataFrame:
    return extract(note_from_text(text, name=name, known_at=known_at))


def test_what_another_note_told_within_the_month_is_dropped() -> None:
    kept, dropped = drop_told(
        events("b", "2025-09-10", TEXT + "液冷的渗透率非常低。"), events("a", "2025-08-31")
    )
    assert (kept["kind"].to_list(), dropped) == (["penetration_view"], 2)


def test_what_is_told_later_or_long_after_is_kept() -> None:
    later = events("b", "2025-09-10")
    assert drop_told(later, events("a", "2025-09-11"))[1] == 0
    assert drop_told(later, events("a", "2025-08-01"))[1] == 0
    assert drop_told(later, events("a", "2025-09-10"))[1] == 2


def test_a_note_is_not_compared_with_itself_nor_with_what_differs() -> None:
    mine = events("a", "2025-08-31")
    assert drop_told(mine, mine)[1] == 0
    changed = mine.with_columns(source=pl.lit("other"), polarity=-pl.col("polarity"))
    assert drop_told(mine, changed)[1] == 0


def test_amounts_must_be_the_same() -> None:
    first = events("a", "2025-08-31", "CDU 的毛利率在三十个点。")
    assert drop_told(events("b", "2025-09-01", "CDU 的毛利率在三十个点。"), first)[1] == 1
    assert drop_told(events("b", "2025-09-01", "CDU 的毛利率在四十个点。"), first)[1] == 0


def test_an_event_that_says_too_little_is_kept() -> None:
    bare = events("a", "2025-08-31").with_columns(
        subject=pl.lit(None, dtype=pl.String), symbols=pl.lit([], dtype=pl.List(pl.String))
    )
    assert drop_told(bare.with_columns(source=pl.lit("b")), bare)[1] == 0
