"""What single statements become: kind, sign, certainty, subject, reach, amounts, spans."""

from __future__ import annotations

import datetime as dt
import gc
import sys
from unittest.mock import patch

import polars as pl
import pytest

from data_cache.schemas import Events
from signals.extraction import explain, extract, extract_all
from signals.lexicon import kinds, lexicon
from signals.note import note_from_text

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def events(text: str, known_at: str = "2025-08-31") -> pl.DataFrame:
    return extract(note_from_text(text, known_at=known_at), ingested_at=NOW)


def only(text: str, kind: str) -> dict:
    found = events(text).filter(pl.col("kind") == kind)
    assert found.height == 1, events(text).select("kind", "polarity", "title").to_dicts()
    return found.row(0, named=True)


def test_the_table_gives_each_kind_a_definition_and_an_example_of_its_own() -> None:
    rows = kinds()
    assert len({r["kind"] for r in rows}) == len(rows) == len({r["example"] for r in rows})
    assert all(r["definition"] and r["polarity"] in ("-1", "0", "1") for r in rows)


@pytest.mark.parametrize("row", kinds(), ids=lambda r: r["kind"])
def test_each_kinds_example_is_found_as_that_kind(row: dict[str, str]) -> None:
    assert row["kind"] in events(row["example"])["kind"].to_list()


def test_every_rule_makes_a_known_kind_and_has_a_name_of_its_own() -> None:
    rules = lexicon().rules
    assert {r.kind for r in rules} == {r["kind"] for r in kinds()}
    assert len({r.name for r in rules}) == len(rules)


@pytest.mark.parametrize(
    ("text", "kind", "polarity", "certainty"),
    [
        ("去年 NVL72 机柜推迟了两个季度。", "rack_delay", -1, "fact"),
        ("如果 NVL72 机柜推迟,那就麻烦了。", "rack_delay", -1, "conditional"),
        ("华为 920C 的推迟影响了节奏。", "chip_delay", -1, "fact"),
        ("明年 GB300 的 ML72 会规模放量。", "rack_ramp", 1, "forecast"),
        ("GB300 的 NVL72 用的是全液冷。", "rack_adoption", 1, "fact"),
        ("NVL36 这个机柜用的都是风冷。", "rack_adoption", -1, "fact"),
        ("GB200 的 NVL72 用的是风液混合。", "rack_adoption", 0, "fact"),
        ("液冷的渗透率目前非常低。", "penetration_view", -1, "fact"),
        ("未来液冷的渗透率会快速提升。", "penetration_view", 1, "forecast"),
        ("台湾的双鸿份额比较高。", "supplier_share", -1, "fact"),
        ("大陆厂商眼下份额还很低。", "supplier_share", -1, "fact"),
        ("英维克的市场份额提升到三成。", "supplier_share", 1, "fact"),
        ("英维克已经打入英伟达的供应链。", "supplier_win", 1, "fact"),
        ("我们认为转接头的壁垒比较高。", "barrier", 0, "opinion"),
        ("我们重点推荐英维克。", "recommendation", 1, "opinion"),
        ("建议逢高减持英维克。", "recommendation", -1, "opinion"),
        ("谷歌的 A zic 在加速上液冷。", "asic_adoption", 1, "fact"),
        ("Meta 下调了全年资本开支。", "capex_guidance", -1, "fact"),
        ("Meta 上调了全年资本开支。", "capex_guidance", 1, "fact"),
        ("美联储继续加息。", "rate_hike", -1, "fact"),
        ("美国要跟中国脱钩。", "decoupling", -1, "fact"),
    ],
)
def test_sign_and_certainty(text: str, kind: str, polarity: int, certainty: str) -> None:
    row = only(text, kind)
    assert (row["polarity"], row["certainty"]) == (polarity, certainty)


@pytest.mark.parametrize(
    "text",
    [
        "NVL72 机柜没有推迟。",
        "NVL72 机柜会推迟吗?",
        "请问 NVL72 机柜推迟的原因是什么。",
    ],
)
def test_what_is_denied_or_asked_is_no_delay(text: str) -> None:
    assert "rack_delay" not in events(text)["kind"].to_list()


def test_a_rhetorical_question_affirms() -> None:
    assert "ai_launch" in events("美国不是刚刚发布了新的 ChatGPT 吗?")["kind"].to_list()


def test_an_interviewer_who_repeats_the_answer_adds_no_event() -> None:
    text = (
        "甲:渗透率怎么样?\n乙:液冷的渗透率非常低。\n甲:液冷渗透率非常低,明白了。那么毛利率呢?\n"
        "乙:冷板毛利率在三十个点。\n甲:听下来重点推荐英维克,是吗?还有风险吗?\n乙:没有。"
    )
    found = events(text)
    assert found["kind"].to_list() == ["penetration_view", "gross_margin"]


def test_companies_become_symbols_and_parts_become_segments() -> None:
    assert only("英维克已经打入英伟达的供应链。", "supplier_win")["symbols"] == ["002837.SZ"]
    share = only("CDU 的价值量占比在 20% 左右。", "value_share")
    assert (share["symbols"], share["segments"]) == ([], ["cdu"])
    assert share["magnitudes"] == [{"quantity": "value_share", "unit": "fraction", "low": 0.2, "high": 0.2}]


def test_what_a_firm_won_its_rivals_did_not() -> None:
    row = only("英维克拿到了谷歌TPU的CDU订单,金额大概6亿元。", "supplier_win")
    assert (row["symbols"], row["segments"]) == (["002837.SZ"], [])


@pytest.mark.parametrize(
    ("text", "kind", "amounts"),
    [
        (
            "冷板占整柜价值量的20%,单价比GB200高大约30%。",
            "value_share",
            [("value_share", 0.2), ("change", 0.3)],
        ),
        ("冷板的毛利率降了三个点。", "gross_margin", [("change", 0.03)]),
        ("冷板的毛利率降到三十个点。", "gross_margin", [("gross_margin", 0.3)]),
        ("英维克在谷歌的份额至少三成。", "supplier_share", [("supplier_share", 0.3)]),
    ],
)
def test_by_how_much_is_not_how_much(text: str, kind: str, amounts: list[tuple[str, float]]) -> None:
    found = events(text).filter(pl.col("kind") == kind)["magnitudes"].to_list()
    assert [(m["quantity"], m["low"]) for of_event in found for m in of_event] == amounts


def test_a_buyers_news_bears_on_those_who_sell_to_it() -> None:
    row = only("寒武纪的 690 推迟了。", "chip_delay")
    assert (row["symbols"], row["segments"]) == ([], [])


def test_spoken_margins_are_per_cent() -> None:
    row = only("转接头的毛利率海外有三四十。", "gross_margin")
    assert row["magnitudes"] == [{"quantity": "gross_margin", "unit": "fraction", "low": 0.3, "high": 0.4}]


def test_homophones_are_read_in_their_surroundings() -> None:
    assert only("技术的演进给越南公司送来机会。", "tech_shift")["subject"] == "液冷"
    assert only("越南的关税又提高了。", "tariff")["subject"] == "其他国家"
    assert only("双红的份额比较高。", "supplier_share")["subject"] == "双鸿"
    assert only("ML72 机柜推迟了。", "rack_delay")["subject"] == "NVL72"
    assert only("静默式还是冷板式,还没有定。", "tech_shift")["subject"] in ("浸没式液冷", "冷板式液冷")


def test_names_inside_longer_words_are_not_names() -> None:
    assert events("CANVAS 打入了供应链。").filter(pl.col("subject") == "英伟达").is_empty()


def test_the_shares_of_two_firms_in_one_breath_are_two_events() -> None:
    found = events("大客户那里英维克拿了六成份额,申菱拿了两成份额,剩下的看不清。").filter(
        pl.col("kind") == "supplier_share"
    )
    assert found["symbols"].to_list() == [["002837.SZ"], ["301018.SZ"]]
    assert [magnitude["low"] for row in found["magnitudes"] for magnitude in row] == [0.6, 0.2]


def test_a_repetition_is_folded_into_the_first_telling() -> None:
    note = note_from_text("液冷的渗透率非常低。这话我要说两遍。液冷的渗透率非常低。", known_at="2025-08-31")
    found = extract(note).filter(pl.col("kind") == "penetration_view")
    assert found.height == 1
    assert found["span_start"][0] == 0
    again = explain(note).filter(pl.col("kind") == "penetration_view")["repeats"][0].to_list()
    assert [note.text[r["start"] : r["end"]] for r in again] == ["液冷的渗透率非常低"]


def test_an_event_quotes_the_untouched_text_and_says_why() -> None:
    text = "那么啊, N V 的 ML72 呢,这个机柜,  推迟 了。"
    note = note_from_text(text, known_at="2025-08-31")
    row = extract(note).filter(pl.col("kind") == "rack_delay").row(0, named=True)
    why = explain(note).filter(pl.col("event_id") == row["event_id"]).row(0, named=True)
    assert why["quote"] == text[row["span_start"] : row["span_end"]]
    assert why["rule"].startswith("rack-slips")
    assert "推迟" in {c["text"] for c in why["cues"]}
    assert all(text[c["start"] : c["end"]] == c["text"] for c in why["cues"])


def test_front_matter_is_no_part_of_the_note() -> None:
    text = "---\ntitle: 重点推荐英维克\npublished_at: 2025-01-01\n---\n液冷的渗透率非常低。"
    found = extract(note_from_text(text))
    assert found["kind"].to_list() == ["penetration_view"]
    assert text[found["span_start"][0] : found["span_end"][0]] == "液冷的渗透率非常低"


def test_events_follow_the_schema_and_know_when() -> None:
    found = events("去年 NVL72 机柜推迟了。")
    assert Events.is_valid(found)
    row = found.row(0, named=True)
    assert row["occurred_on"] == dt.date(2024, 1, 1)
    assert row["known_at"].isoformat() == "2025-08-31T15:00:00+08:00"
    assert row["ingested_at"] == NOW


def test_several_notes_give_what_each_gives_alone() -> None:
    notes = [
        note_from_text(t, name=n, known_at="2025-08-31")
        for n, t in (("a", "机柜推迟了。"), ("b", "美联储继续加息。"))
    ]
    together = extract_all(notes, ingested_at=NOW)
    assert together.equals(pl.concat([extract(n, ingested_at=NOW) for n in notes]))


def test_pythons_search_for_cycles_goes_on_after_a_note_and_after_one_that_fails() -> None:
    events("NVL72 机柜推迟了。")
    assert gc.isenabled()
    with (
        patch.object(sys.modules["signals.extraction"], "scan", side_effect=MemoryError),
        pytest.raises(MemoryError),
    ):
        events("NVL72 机柜推迟了。")
    assert gc.isenabled()
    gc.disable()
    try:
        events("NVL72 机柜推迟了。")
        assert not gc.isenabled(), "who turned it off turns it on"
    finally:
        gc.enable()


def test_a_note_with_nothing_in_it_gives_an_empty_frame() -> None:
    found = events("今天天气不错。")
    assert found.is_empty()
    assert found.schema == Events.create_empty().schema
