"""The learned reader: what it sees, that its sums are the ones it was fitted by, and how it lives with the rules."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import fit
import marks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_cache.errors import StorageError
from signals import reader
from signals.extract import explain, extract, ruled
from signals.features import COLUMNS, features, names, runs
from signals.lexicon import kinds, lexicon
from signals.note import Note, note_from_text
from signals.sentences import Scan, scan

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TOLD = "英维克拿到了谷歌的单子,月产能从五万只提到十万只。机柜没有推迟,明年要翻倍!毛利率三四十,问题是不是真的?"
TEXTS = st.lists(
    st.sampled_from("英维克谷歌机柜推迟没有涨了百分之三十五万,。?\n液冷a1"), min_size=1, max_size=80
).map("".join)


def note(text: str) -> Note:
    return note_from_text(text, known_at="2025-08-31")


def scanned(text: str) -> Scan:
    return scan(note(text).text, lexicon(), 0)


def test_the_weights_are_those_of_the_corpus_and_the_code_that_fits_them() -> None:
    with np.load(fit.WEIGHTS) as held:
        assert str(held["digest"]) == fit.digest(), "run python tests/signals/fit.py"


@pytest.mark.parametrize("path", [*sorted(fit.CORPUS.glob("*.jsonl")), marks.HELD_OUT], ids=lambda p: p.stem)
def test_every_mark_of_the_corpus_is_a_span_of_a_known_kind(path: Path) -> None:
    known = {row["kind"] for row in kinds()}
    for name, text, found in marks.read_notes(path):
        for mark in found:
            assert 0 <= mark.start < mark.end <= len(text), (name, mark)
            assert mark.kind in known
            assert mark.polarity in (-1, 0, 1)
            assert mark.certainty in ("fact", "forecast", "opinion", "conditional")
            assert text[mark.start : mark.end].strip()


def test_no_held_out_note_is_in_the_corpus() -> None:
    taught = {text for path in fit.CORPUS.glob("*.jsonl") for _, text, _ in marks.read_notes(path)}
    held = [text for _, text, _ in marks.read_notes(marks.HELD_OUT)]
    assert len(held) == 12
    assert not taught & set(held)


@pytest.mark.realdata
def test_no_sentence_of_others_is_in_the_corpus(shared: Path) -> None:
    def joined(text: str) -> str:
        return "".join(text.split())

    theirs = joined("".join(path.read_text("utf-8") for path in (shared / "notes").glob("*.txt")))
    passages = {theirs[i : i + 16] for i in range(len(theirs) - 16)}
    for path in [*fit.CORPUS.glob("*.jsonl"), marks.HELD_OUT]:
        for name, text, _ in marks.read_notes(path):
            ours = joined(text)
            assert not any(ours[i : i + 16] in passages for i in range(len(ours) - 16)), (path.name, name)


@given(TEXTS)
def test_a_clause_has_the_runs_of_its_own_characters_and_no_others(text: str) -> None:
    if not text.strip() or not (found := scanned(text)).clauses:
        return
    seen = features(found)
    assert seen.own.shape == (len(found.clauses), COLUMNS)
    assert seen.told.shape == (len(found.clauses), len(names()))
    assert (seen.named.toarray() == seen.told).all()
    for i, clause in enumerate(found.clauses):
        mine = seen.own[[i]]
        told = Counter(column for column, _, _ in runs(found, clause))
        assert told == Counter(mine.indices.tolist())
        assert all(clause.start <= start < end <= clause.end for _, start, end in runs(found, clause))


@given(TEXTS)
def test_scores_are_the_product_the_weights_were_fitted_by(text: str) -> None:
    if not text.strip() or not (found := scanned(text)).clauses:
        return
    held = reader.weights()
    seen = features(found, ruled(found, 2025)[0])
    m = len(names())
    column = np.concatenate([held.runs, *(held.told[i] for i in range(3))])
    assert column.shape[0] == COLUMNS + 3 * m
    expected = fit.rows(seen) @ column
    expected[:, : held.bias.size] += held.bias
    assert np.allclose(held.score(seen), expected, atol=1e-3)
    likely = held.likely(held.score(seen))
    assert ((likely >= 0) & (likely <= 1)).all()
    assert (likely.sum(axis=1) <= 1 + 1e-5).all()


def test_one_company_reads_as_the_next_and_one_amount_as_another() -> None:
    def own(text: str) -> list[tuple[int, float]]:
        row = features(scanned(text)).own
        return sorted(zip(row.indices.tolist(), row.data.tolist(), strict=True))

    assert own("英维克拿到三成份额") == own("申菱环境拿到45%份额")
    assert own("英维克拿到三成份额") != own("英维克丢了三成份额")


def test_neighbours_are_seen_within_a_sentence_only() -> None:
    joined, apart = features(scanned("毛利率在降,份额在涨")), features(scanned("毛利率在降。份额在涨"))
    assert joined.joined.tolist() == [True]
    assert apart.joined.tolist() == [False]
    held = reader.weights()
    assert not np.allclose(held.score(joined), held.score(apart), atol=1e-3)
    alone = held.score(features(scanned("份额在涨")))
    assert np.allclose(held.score(apart)[1], alone[0], atol=1e-4)


def told_without(kept: float, text: str) -> list[str]:
    """Kinds found when every weight but the event's bias is nothing, and that says ``kept`` log odds."""
    held = reader.weights()
    nothing = {
        name: np.zeros_like(getattr(held, name)) for name in ("runs", "told", "of_kind", "of_kind_told")
    }
    bias = np.zeros_like(held.bias)
    bias[0] = kept
    with patch.object(reader, "weights", return_value=replace(held, bias=bias, **nothing)):
        return sorted(extract(note(text), ingested_at=NOW)["kind"].to_list())


def test_weights_that_are_sure_of_nothing_reject_what_rules_met() -> None:
    text = "NVL72机柜往后推迟了一个季度。"
    assert told_without(9.0, text) == []  # an event surely, of no kind rather than another
    assert extract(note(text), ingested_at=NOW)["kind"].to_list() == ["rack_delay"]


def test_an_event_told_in_other_words_is_found_and_explained() -> None:
    text = "他们家今年的冷板在那家北美云厂基本是一家吃下,别人进不去。"
    met, _ = ruled(scanned(text), 2025)
    told = explain(note(text))
    learned = told.filter(told["rule"] == reader.LEARNED)
    assert learned.height, "the weights see no event in it; choose another sentence"
    assert not set(learned["kind"]) & {c.rule.kind for c in met}
    for row in learned.iter_rows(named=True):
        assert 0 < len(row["cues"]) <= 4
        assert 0.38 <= row["likely"] <= 1
        assert all(c["says"].startswith("weighs +") and c["text"] in row["quote"] for c in row["cues"])


@pytest.mark.parametrize("text", ["NVL72 机柜没有推迟。", "GB300机柜并没有延后,按计划出货。"])
def test_what_a_rule_finds_denied_the_weights_do_not_bring_back(text: str) -> None:
    met, denied = ruled(scanned(text), 2025)
    assert {c.rule.kind for c in denied} == {"rack_delay"}
    assert "rack_delay" not in {c.rule.kind for c in met}
    assert "rack_delay" not in extract(note(text), ingested_at=NOW)["kind"].to_list()


def test_a_run_of_clauses_is_one_event_and_a_new_sentence_another() -> None:
    held = reader.weights()
    kind = held.kinds.index("earnings")
    nothing = {
        name: np.zeros_like(getattr(held, name)) for name in ("runs", "told", "of_kind", "of_kind_told")
    }
    bias = np.full_like(held.bias, -9.0)
    bias[0] = bias[1 + kind] = 9.0
    with patch.object(reader, "weights", return_value=replace(held, bias=bias, **nothing)):
        events = extract(note("甲甲甲甲甲,乙乙乙乙乙。丙丙丙丙丙丙"), ingested_at=NOW)
    assert events.select("kind", "span_start", "span_end").rows() == [
        ("earnings", 0, 11),
        ("earnings", 12, 18),
    ]


def test_weights_survive_a_class_that_is_gone_and_one_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    now = reader.weights()
    shifted = ("a new class", *names()[1:])
    monkeypatch.setattr(reader, "names", lambda: shifted)
    later = reader.weights.__wrapped__()
    assert (later.told[:, 0] == 0).all()
    assert (later.of_kind_told[:, 0] == 0).all()
    assert np.array_equal(later.told[:, 1:], now.told[:, 1:])


@pytest.mark.parametrize("keep", [0, 2000, -100])
def test_weights_that_are_not_whole_are_one_clear_error(keep: int, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reader.npz").write_bytes(fit.WEIGHTS.read_bytes()[:keep])
    with (
        patch.object(reader, "files", return_value=tmp_path),
        pytest.raises(StorageError, match="install ashare-signals again"),
    ):
        reader.weights.__wrapped__()


def test_a_fit_on_few_notes_learns_them(tmp_path: Path) -> None:
    """The road from corpus to file to weights: what is written is what was fitted, to a 127th of each column."""
    reads = fit.load([fit.CORPUS / "notes_p.jsonl"])
    with patch.object(fit, "ENOUGH", 15):
        fitted = fit.fit(reads)
    fit.write(fitted, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as held:
        scale = held["scale"]
        assert np.abs(held["runs"] * scale - fitted.runs).max() <= scale.max() / 2 + 1e-6
    likely = np.concatenate([fitted.likely(fitted.score(read.seen)) for read in reads])
    said = [s for read in reads for s in read.said]
    for k, kind in enumerate(fitted.kinds):
        stated = np.array([kind in s for s in said])
        assert likely[stated, k].mean() > 5 * likely[~stated, k].mean(), kind
