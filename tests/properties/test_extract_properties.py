"""Whatever goes in: spans slice the untouched text, the answer is the same twice, bytes give events or one error."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import ahocorasick
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from data_cache.errors import UsageError
from data_cache.schemas import Events
from signals.extraction import explain, extract
from signals.lexicon import lexicon
from signals.normalise import fold, halves, squeeze
from signals.note import note_from_text, read_note
from signals.quantities import find_quantities

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WORDS = st.sampled_from([word.surface for word in lexicon().words])
WHOLE = ahocorasick.Automaton()
"""The same words spelt as they are."""
for word in lexicon().words:
    WHOLE.add_word(word.surface, word)
WHOLE.make_automaton()
GLUE = st.sampled_from(
    [
        "",
        " ",
        "\u3000",
        "啊",
        "呢",
        ",",
        "，",
        "。",
        "?",
        "\n",
        "\r\n",
        "的",
        "没有",
        "如果",
        "三四十",
        "40%~50%",
    ]
)
SPEECH = st.lists(st.tuples(WORDS, GLUE), max_size=60).map(lambda parts: "".join(a + b for a, b in parts))
TEXTS = st.one_of(st.text(max_size=200), SPEECH, st.tuples(SPEECH, st.text(max_size=20), SPEECH).map("".join))


@given(TEXTS)
def test_squeezing_keeps_the_way_back(text: str) -> None:
    squeezed = squeeze(text)
    assert len(squeezed.text) == len(squeezed.offsets)
    assert squeezed.offsets == sorted(set(squeezed.offsets))
    assert "".join(fold(text[i]) for i in squeezed.offsets) == squeezed.text


@given(st.one_of(TEXTS, st.text(st.characters(min_codepoint=0x10000)), st.just("\ud800液冷\udfff")))
def test_words_spelt_in_halves_are_those_of_the_text(text: str) -> None:
    squeezed = squeeze(text)
    spelt = halves(squeezed.codes)
    assert spelt == "".join(chr(0x100 + ord(c) // 256) + chr(ord(c) % 256) for c in squeezed.text)
    found = [(last // 2, word) for last, word in lexicon().automaton.iter_long(spelt)]
    assert found == list(WHOLE.iter_long(squeezed.text))


@given(TEXTS)
def test_events_quote_the_untouched_text_and_are_the_same_twice(text: str) -> None:
    if not text.strip():
        return
    note = note_from_text("x" + text, known_at="2025-08-31")
    events = extract(note, ingested_at=NOW)
    assert Events.is_valid(events)
    assert events["event_id"].is_unique().all()
    why = {row["event_id"]: row for row in explain(note).iter_rows(named=True)}
    assert list(why) == events["event_id"].to_list()
    for row in events.iter_rows(named=True):
        assert 0 <= row["span_start"] < row["span_end"] <= len(note.text)
        told = why[row["event_id"]]
        assert told["quote"] == note.text[row["span_start"] : row["span_end"]]
        assert all(note.text[c["start"] : c["end"]] == c["text"] for c in told["cues"])
        for amount in row["magnitudes"]:
            if amount["low"] is not None and amount["high"] is not None:
                assert amount["low"] <= amount["high"]
    assert extract(note, ingested_at=NOW).equals(events)


@given(st.one_of(st.binary(max_size=300), SPEECH.map(lambda t: t.encode("gb18030")), TEXTS.map(str.encode)))
def test_any_bytes_give_events_or_one_clear_error(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.txt"
        path.write_bytes(raw)
        said = ""
        try:
            assert isinstance(extract(read_note(path, known_at="2025-08-31")), pl.DataFrame)
        except UsageError as error:
            said = str(error)
        assert not said or str(path) in said


@given(
    st.text(
        alphabet="零一二三四五六七八九十百千万亿几数多上百分之到~-.%0123456789kw千瓦元个点成倍", max_size=30
    )
)
def test_numbers_are_read_or_left_alone(text: str) -> None:
    for quantity in find_quantities(text):
        assert 0 <= quantity.start < quantity.end <= len(text)
        if quantity.low is not None and quantity.high is not None:
            assert quantity.low <= quantity.high
