"""Across notes the first telling counts, whatever is read first and whatever comes later."""

from __future__ import annotations

import datetime as dt

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from signals.extraction import extract
from signals.note import note_from_text
from signals.novelty import MEMORY, first_told

TEXT = "去年 NVL72 机柜推迟了。英维克已经打入英伟达的供应链。"


def events(name: str, known_at: str, text: str = TEXT) -> pl.DataFrame:
    return extract(note_from_text(f"---\ntitle: {name}\n---\n{text}", name=name, known_at=known_at))


def kept(*told: pl.DataFrame) -> list[int]:
    """How many events of each frame count."""
    counted = first_told(pl.concat(told))["event_id"].to_list()
    return [sum(i in counted for i in frame["event_id"]) for frame in told]


def test_what_another_note_told_within_the_month_counts_once() -> None:
    first, again = events("a", "2025-08-31"), events("b", "2025-09-10", TEXT + "液冷的渗透率非常低。")
    assert kept(first, again) == [2, 1]
    assert kept(again, first) == [1, 2]


def test_what_is_told_long_after_counts_again() -> None:
    assert kept(events("a", "2025-08-01"), events("b", "2025-09-10")) == [2, 2]
    # remembered from the telling that counts, not from its repetition
    assert kept(events("a", "2025-08-01"), events("b", "2025-08-20"), events("c", "2025-09-10")) == [2, 0, 2]


def test_of_two_told_at_once_one_counts() -> None:
    assert kept(events("b", "2025-09-10"), events("a", "2025-09-10")) == [0, 2]


def test_a_note_is_not_compared_with_itself_nor_with_what_differs() -> None:
    mine = events("a", "2025-08-31")
    assert kept(mine, mine.with_columns(event_id=pl.lit("again ") + pl.col("event_id"))) == [2, 2]
    other = mine.with_columns(
        source=pl.lit("other"), event_id=pl.lit("other ") + pl.col("event_id"), polarity=-pl.col("polarity")
    )
    assert kept(mine, other) == [2, 2]


def test_amounts_must_be_the_same() -> None:
    first = events("a", "2025-08-31", "CDU 的毛利率在三十个点。")
    assert kept(first, events("b", "2025-09-01", "CDU 的毛利率在三十个点。")) == [1, 0]
    assert kept(first, events("b", "2025-09-01", "CDU 的毛利率在四十个点。")) == [1, 1]


def test_an_event_that_says_too_little_always_counts() -> None:
    bare = events("a", "2025-08-31").with_columns(
        subject=pl.lit(None, dtype=pl.String), symbols=pl.lit([], dtype=pl.List(pl.String))
    )
    assert (
        kept(bare, bare.with_columns(source=pl.lit("b"), event_id=pl.lit("b ") + pl.col("event_id")))
        == [2] * 2
    )


ONE = events("a", "2025-08-01").head(1)
TELLINGS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 80), st.sampled_from((-1, 1))), min_size=1, max_size=12
)


def told(tellings: list[tuple[str, int, int]]) -> pl.DataFrame:
    start = ONE["known_at"].to_list()[0]
    return pl.concat(
        ONE.with_columns(
            event_id=pl.lit(f"{i}"),
            source=pl.lit(source),
            known_at=pl.lit(start + dt.timedelta(days=day), dtype=ONE.schema["known_at"]),
            polarity=pl.lit(sign, dtype=pl.Int8),
        )
        for i, (source, day, sign) in enumerate(tellings)
    )


@given(TELLINGS, st.integers(0, 80))
def test_the_order_of_rows_and_what_comes_later_change_nothing(
    tellings: list[tuple[str, int, int]], day: int
) -> None:
    tellings = list(dict.fromkeys(tellings))
    every = told(tellings)
    counted = set(first_told(every)["event_id"])
    assert set(first_told(every.reverse())["event_id"]) == counted
    limit = ONE["known_at"].to_list()[0] + dt.timedelta(days=day)
    before = every.filter(pl.col("known_at") <= limit)
    assert set(first_told(before)["event_id"]) == counted & set(before["event_id"])


@given(TELLINGS)
def test_every_event_left_out_was_told_by_another_within_memory(
    tellings: list[tuple[str, int, int]],
) -> None:
    every = told(tellings)
    counted = first_told(every).to_dicts()
    names = {row["event_id"] for row in counted}
    for row in every.to_dicts():
        earlier = [
            c
            for c in counted
            if c["polarity"] == row["polarity"]
            and c["source"] != row["source"]
            and dt.timedelta(0) <= row["known_at"] - c["known_at"] <= MEMORY
        ]
        if row["event_id"] not in names:
            assert earlier
