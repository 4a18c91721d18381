"""The learned reader: what it sees, that its sums are the ones it was fitted by, and how it lives with the rules."""

from __future__ import annotations

import datetime as dt
import zlib
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import fit
import marks
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_cache.errors import StorageError
from signals import model, reader
from signals.extraction import explain, extract, ruled
from signals.features import COLUMNS, Features, features, names, runs
from signals.lexicon import kinds, lexicon
from signals.loops import AFTER, BEFORE, BITS, ROLL, SPREAD, Array
from signals.note import Note, note_from_text
from signals.sentences import Clause, Scan, scan
from signals.sums import Ones, Table

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TOLD = "英维克拿到了谷歌的单子,月产能从五万只提到十万只。机柜没有推迟,明年要翻倍!毛利率三四十,问题是不是真的?"
TEXTS = st.lists(
    st.sampled_from("英维克谷歌机柜推迟没有涨了百分之三十五万,。?\n液冷a1"), min_size=1, max_size=80
).map("".join)


def note(text: str) -> Note:
    return note_from_text(text, known_at="2025-08-31")


def scanned(text: str) -> Scan:
    return scan(note(text).text, lexicon(), 0)


def whole(table: Table) -> Array:
    return table.values * table.scale


def columns_of(ones: Ones, row: int) -> list[int]:
    return ones.columns[ones.first[row] : ones.first[row + 1]].tolist()


def chances(seen: Features, held: model.Weights | None = None) -> Array:
    held = held or model.weights()
    return held.chances(held.by_itself(seen), seen.joined)


def test_the_weights_are_those_of_the_corpus_and_the_code_that_fits_them() -> None:
    with np.load(fit.WEIGHTS) as held:
        assert str(held["digest"]) == fit.digest(), "run python tests/signals/fit.py"


@pytest.mark.parametrize(
    "path", [*sorted(fit.CORPUS.glob("*.jsonl")), *marks.HELD_OUT.values()], ids=lambda p: p.stem
)
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
    held = [text for path in marks.HELD_OUT.values() for _, text, _ in marks.read_notes(path)]
    assert len(held) == 34
    assert not taught & set(held)


@pytest.mark.realdata
def test_no_sentence_of_others_is_in_the_corpus(shared: Path) -> None:
    def joined(text: str) -> str:
        return "".join(text.split())

    theirs = joined("".join(path.read_text("utf-8") for path in (shared / "notes").glob("*.txt")))
    passages = {theirs[i : i + 16] for i in range(len(theirs) - 16)}
    for path in [*fit.CORPUS.glob("*.jsonl"), *marks.HELD_OUT.values()]:
        for name, text, _ in marks.read_notes(path):
            ours = joined(text)
            assert not any(ours[i : i + 16] in passages for i in range(len(ours) - 16)), (path.name, name)


def spelling(found: Scan, clause: Clause) -> list[str]:
    """The characters of a clause between two edges, a name or an amount as one."""
    text = found.squeezed.text
    spelt, at = ["\n"], clause.start
    bits = sorted(
        lexicon().bits, key=lexicon().bits.__getitem__
    )  # the tags of a name count in the tables' order
    signs = [
        (hit.start, hit.end, next(name for name in bits if hit.entity.mask >> lexicon().bits[name] & 1))
        for hit in clause.hits
        if hit.entity
    ]
    for start, end, name in sorted([*signs, *((q.start, q.end, q.cls) for q in clause.quantities)]):
        if start >= at:
            spelt += [*text[at:start], chr(0xF0000 + zlib.crc32(name.encode()) % 0xFFFD)]
            at = end
    return [*spelt, *text[at : clause.end], "\n"]


def column(run: list[str], salt: int) -> int:
    """The hash of a run in Python's own whole numbers."""
    hashed = 0
    for sign in run:
        hashed = (hashed * int(ROLL)) ^ (ord(sign) * int(SPREAD)) & (2**64 - 1)
        hashed &= 2**64 - 1
    hashed ^= salt
    return ((hashed ^ hashed >> 29) * int(ROLL)) % 2**64 >> 64 - BITS


@given(TEXTS)
@example("冷机")  # a name of two classes
@example("英维克和谷歌的冷机,占三成")
def test_a_clause_has_the_runs_of_its_own_characters_and_no_others(text: str) -> None:
    if not text.strip() or not (found := scanned(text)).clauses:
        return
    seen = features(found)
    assert seen.runs.matrix().shape == (len(found.clauses), COLUMNS)
    assert seen.told.matrix().shape == (len(found.clauses), len(names()))
    for i, clause in enumerate(found.clauses):
        assert [column for column, _, _ in runs(found, clause)] == columns_of(seen.runs, i)
        assert all(clause.start <= start < end <= clause.end for _, start, end in runs(found, clause))
        spelt = spelling(found, clause)
        cut = [spelt[k : k + n] for k in range(len(spelt) - 1) for n in (1, 2, 3) if k + n <= len(spelt)]
        whole_runs = [run for run in cut if run != ["\n"]]
        assert columns_of(seen.runs, i) == [column(run, 0) for run in whole_runs]
        pairs = [run for run in whole_runs if len(run) == 2 and "\n" not in run]
        assert columns_of(seen.before, i) == [column(run, int(BEFORE)) for run in pairs]
        assert columns_of(seen.after, i) == [column(run, int(AFTER)) for run in pairs]
        named = {names()[column] for column in columns_of(seen.told, i)}
        assert named - {"asked"} == set(lexicon().names(clause.mask))


@given(TEXTS)
def test_scores_are_the_product_the_weights_were_fitted_by(text: str) -> None:
    if not text.strip() or not (found := scanned(text)).clauses:
        return
    held = model.weights()
    seen = features(found, ruled(found, 2025)[0])
    k = len(held.kinds)
    runs_, told = whole(held.runs), whole(held.told)
    words = fit.rows(seen) @ np.concatenate([runs_[:, : 2 + k], *np.split(told, 3, axis=1)]) + held.bias
    shares = np.exp(words[:, 1 : 1 + k]) / np.exp(words[:, 1 : 1 + k]).sum(axis=1, keepdims=True)
    words[:, 1 : 1 + k] = np.log(shares)
    own = [columns_of(seen.runs, i) for i in range(len(found.clauses))]
    near = [runs_[at, 2 + k :].sum(axis=0) / len(at) ** 0.5 for at in own]
    assert np.allclose(held.by_itself(seen), np.concatenate([words, near], axis=1), atol=1e-3)
    likely = chances(seen)
    assert ((likely >= 0) & (likely <= 1)).all()
    assert (likely.sum(axis=1) <= 1 + 1e-5).all()


@given(TEXTS, st.integers(0, 34), st.data())
def test_the_bearing_of_an_event_is_the_product_the_weights_were_fitted_by(
    text: str, kind: int, data: st.DataObject
) -> None:
    if not text.strip() or not (found := scanned(text)).clauses:
        return
    held = model.weights()
    lo = data.draw(st.integers(0, len(found.clauses) - 1))
    hi = data.draw(st.integers(lo, len(found.clauses) - 1))
    name = held.kinds[kind]
    span = found.squeezed.original(found.clauses[lo].start, found.clauses[hi].end)
    mark = marks.Mark(*span, name, 1, "fact")
    seen = features(found, ruled(found, 2025)[0])
    said = [{name: 0} if lo <= i <= hi else {} for i in range(len(found.clauses))]
    marked, _ = fit._events([fit.Read("", note(text), [mark], found, seen, said)], held.kinds)
    column = np.concatenate([whole(held.says_runs), whole(held.says_told), held.says_kind])
    others = [(held.kinds[0], 0, 0), (name, lo, hi)]
    assert np.allclose(held.bearing(others, seen)[1], (marked @ column)[0], atol=1e-3)


def test_one_company_reads_as_the_next_and_one_amount_as_another() -> None:
    def own(text: str) -> list[int]:
        return sorted(columns_of(features(scanned(text)).runs, 0))

    assert own("英维克拿到三成份额") == own("申菱环境拿到45%份额")
    assert own("英维克拿到三成份额") != own("英维克丢了三成份额")


def test_neighbours_are_seen_within_a_sentence_only() -> None:
    joined, apart = features(scanned("毛利率在降,份额在涨")), features(scanned("毛利率在降。份额在涨"))
    assert joined.joined.tolist() == [True]
    assert apart.joined.tolist() == [False]
    held = model.weights()
    assert not np.allclose(held.by_itself(joined), held.by_itself(apart), atol=1e-3)
    alone = held.by_itself(features(scanned("份额在涨")))
    assert np.allclose(held.by_itself(apart)[1], alone[0], atol=1e-4)


@given(st.integers(1, 70), st.data())
def test_the_context_of_a_clause_is_what_the_clauses_around_it_say(n: int, data: st.DataObject) -> None:
    joined = np.array(data.draw(st.lists(st.booleans(), min_size=n - 1, max_size=n - 1)), np.bool_)
    scores = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, 3, (n, 8)).astype(np.float32)
    event = 1 / (1 + np.exp(-scores[:, 0]))
    scores[:, 1:4] -= np.log(np.exp(scores[:, 1:4]).sum(axis=1, keepdims=True))
    shares, near = np.exp(scores[:, 1:4]), scores[:, 5:]
    said = np.column_stack([event, event[:, None] * shares])
    sentence = np.append(0, np.cumsum(~joined))
    seen = model.in_context(scores, joined)
    assert seen.shape == (n, 6 * 4 + 3 * 3 + 5)
    for i in range(n):
        past, future = ([way * (i - j) - 1 for j in range(n)] for way in (1, -1))  # clauses between
        ago, ahead = ([0.5 ** (d / 4) if d >= 0 else 0.0 for d in way] for way in (past, future))
        just, soon = ([0.5**d if d >= 0 else 0.0 for d in way] for way in (past, future))
        others = [sentence[j] == sentence[i] and j != i for j in range(n)]
        beside = [[j == i + way for j in range(n)] for way in (-1, 1)]
        sums = [np.array(weights) @ said for weights in (others, *beside)]
        fading = [np.array(weights) @ said for weights in (ago, ahead)]
        fading += [np.array(weights) @ near for weights in (just, soon)]
        ends = [i == 0 or not joined[i - 1], i == n - 1 or not joined[i]]
        place = [*ends, np.log(n), 1 / (1 + i), i / n]
        own = [scores[i, :1], np.maximum(np.log(shares[i]), -12)]
        expected = np.concatenate([*own, *sums, *fading, near[i], place])
        assert np.allclose(seen[i], expected, atol=1e-3), i


def test_no_note_is_longer_to_the_network_than_those_it_was_taught_on() -> None:
    lengths = [
        model.in_context(np.zeros((n, 8), np.float32), np.ones(n - 1, np.bool_))[0, -3] for n in (60, 900)
    ]
    assert np.allclose(lengths, np.log([60, 200]))


@pytest.mark.parametrize(
    ("around", "kind"),
    [
        ("毛利率这块,去年毛利率三成,今年毛利率还在涨。{}海外毛利率更高,有五成的毛利率。", "gross_margin"),
        ("份额这块,去年份额三成,今年份额还在涨。{}他们在大客户那里份额更高,有五成份额。", "supplier_share"),
    ],
)
def test_what_the_clauses_around_speak_of_settles_what_a_bare_figure_is(around: str, kind: str) -> None:
    bare = "今年大概是四成左右"
    told = explain(note(around.format(bare + "。")))
    [event] = told.filter(told["quote"] == bare).iter_rows(named=True)
    assert event["kind"] == kind
    assert event["rule"] == reader.LEARNED
    assert event["likely"] > 3 * event["by_its_words"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "text", ["的" * 20_000, "今天我们去公园散步然后回家吃饭" * 2_000, "🙂" * 3_000, "1234," * 5_000, "液"]
)
def test_a_clause_however_long_overflows_nothing(text: str) -> None:
    assert extract(note(text)).height <= 1


def test_whose_sign_it_is_is_told() -> None:
    short = explain(note("NVL72机柜往后推迟了一个季度。"))
    assert short.select("rule", "borne_by").rows() == [("rack-slips", "rule")]
    _, text, _ = next(marks.read_notes(marks.HELD_OUT["plain"]))  # told as the corpus was
    long = explain(note(text))
    assert set(long["borne_by"]) == {"model"}
    assert set(long["rule"]) > {reader.LEARNED}


def only_saying(kind: str, odds: float, apart: float = -9.0) -> model.Weights:
    """Weights that find an event of ``kind`` in every clause, with these log odds against any other answer.

    ``apart`` are the log odds that the next clause tells of another.
    """
    held = model.weights()
    said = np.zeros_like(held.out_bias)
    said[1 + held.kinds.index(kind)] = odds
    hidden, hidden_bias, out, out_bias = (np.zeros_like(array) for array in held.apart)
    return replace(
        held, out=np.zeros_like(held.out), out_bias=said, apart=(hidden, hidden_bias, out, out_bias + apart)
    )


def test_weights_that_are_sure_of_nothing_reject_what_rules_met() -> None:
    text = "NVL72机柜往后推迟了一个季度。"
    with patch.object(reader, "weights", return_value=only_saying("rack_delay", -9.0)):
        assert extract(note(text), ingested_at=NOW).is_empty()
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
        assert 0 <= row["by_its_words"] <= 1
        assert all(c["says"].startswith("weighs +") and c["text"] in row["quote"] for c in row["cues"])


@pytest.mark.parametrize("text", ["NVL72 机柜没有推迟。", "GB300机柜并没有延后,按计划出货。"])
def test_what_a_rule_finds_denied_the_weights_do_not_bring_back(text: str) -> None:
    met, denied = ruled(scanned(text), 2025)
    assert {c.rule.kind for c in denied} == {"rack_delay"}
    assert "rack_delay" not in {c.rule.kind for c in met}
    assert "rack_delay" not in extract(note(text), ingested_at=NOW)["kind"].to_list()


def test_a_run_of_clauses_is_one_event_and_a_new_sentence_another() -> None:
    with patch.object(reader, "weights", return_value=only_saying("earnings", 9.0)):
        events = extract(note("甲甲甲甲甲,乙乙乙乙乙。丙丙丙丙丙丙"), ingested_at=NOW)
    assert events.select("kind", "span_start", "span_end").rows() == [
        ("earnings", 0, 11),
        ("earnings", 12, 18),
    ]


def test_what_is_stated_apart_is_an_event_of_its_own_within_a_sentence_too() -> None:
    with patch.object(reader, "weights", return_value=only_saying("earnings", 9.0, apart=9.0)):
        events = extract(note("甲甲甲甲甲,乙乙乙乙乙。丙丙丙丙丙丙"), ingested_at=NOW)
    assert events.select("span_start", "span_end").rows() == [(0, 5), (6, 11), (12, 18)]


def test_a_rules_event_keeps_the_words_it_was_met_by_and_leaves_what_is_stated_apart() -> None:
    text = "今年英维克的冷板毛利率三十五个点,往后能到四十个点。"
    both = explain(note(text))
    assert both.select("rule", "quote").rows() == [("margin-number", text[:-1])]
    with patch.object(reader, "weights", return_value=only_saying("gross_margin", 9.0, apart=9.0)):
        first, second = explain(note(text)).iter_rows(named=True)
    assert (first["rule"], first["quote"]) == ("margin-number", "今年英维克的冷板毛利率三十五个点")
    assert (second["rule"], second["quote"]) == (reader.LEARNED, "往后能到四十个点")
    assert all(cue["end"] <= len(first["quote"]) for cue in first["cues"])


@given(st.integers(1, 40), st.data())
def test_two_clauses_are_seen_side_by_side_only_in_one_sentence(n: int, data: st.DataObject) -> None:
    held = model.weights()
    text = "".join(
        data.draw(st.sampled_from(["毛利率三成", "份额四成", "机柜推迟了"]))
        + data.draw(st.sampled_from(",。"))
        for _ in range(n)
    )
    seen = features(scanned(text))
    by_itself = held.by_itself(seen)
    stated = np.array(
        data.draw(st.lists(st.lists(st.booleans(), min_size=35, max_size=35), min_size=n, max_size=n))
    )
    apart = held.anew(by_itself, stated, seen)
    hidden, hidden_bias, out, out_bias = held.apart
    for i in range(n):
        for k in range(35):
            if i == 0 or not (stated[i, k] and stated[i - 1, k] and seen.joined[i - 1]):
                assert apart[i, k] == 0
                continue

            def said(j: int, k: int = k) -> float:
                return float(np.exp(by_itself[j, 1 + k]) / (1 + np.exp(-by_itself[j, 0])))

            row = [
                by_itself[i, 36], by_itself[i - 1, 0], by_itself[i, 0],
                *(max(by_itself[j, 1 + k], -12) for j in (i - 1, i)),
                *(len(columns_of(seen.runs, j)) for j in (i - 1, i)),
                said(i - 2) if i > 1 and seen.joined[i - 2] else 0,
                said(i + 1) if i < n - 1 and seen.joined[i] else 0,
            ]  # fmt: skip
            odds = np.maximum(np.array(row) @ hidden + hidden_bias, 0) @ out + out_bias
            assert np.isclose(apart[i, k], 1 / (1 + np.exp(-odds[0])), atol=1e-3)


def test_weights_survive_a_class_that_is_gone_and_one_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    now = model.weights()
    shifted = ("a new class", *names()[1:])
    monkeypatch.setattr(model, "names", lambda: shifted)
    later = model.weights.__wrapped__()
    assert (later.told.values[0] == 0).all()
    assert (later.says_told.values[:: len(names())] == 0).all()
    assert np.array_equal(later.told.values[1:], now.told.values[1:])
    assert now.told.values[0].any()


@pytest.mark.parametrize("keep", [0, 2000, -100])
def test_weights_that_are_not_whole_are_one_clear_error(keep: int, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reader.npz").write_bytes(fit.WEIGHTS.read_bytes()[:keep])
    with (
        patch.object(model, "files", return_value=tmp_path),
        pytest.raises(StorageError, match="install ashare-signals again"),
    ):
        model.weights.__wrapped__()


def test_a_fit_on_few_notes_learns_them(tmp_path: Path) -> None:
    """The road from corpus to file to weights: what is written is what was fitted."""
    reads = fit.load([fit.CORPUS / "notes_p.jsonl"])
    with patch.object(fit, "ENOUGH", 15):
        fitted = fit.fit(reads)
    fit.write(fitted, tmp_path / "w.npz")
    (tmp_path / "data").mkdir()
    (tmp_path / "w.npz").rename(tmp_path / "data" / "reader.npz")
    with patch.object(model, "files", return_value=tmp_path):
        held = model.weights.__wrapped__()
    by_itself = np.concatenate([fitted.by_itself(read.seen) for read in reads])
    assert np.array_equal(by_itself, np.concatenate([held.by_itself(read.seen) for read in reads]))
    shares = np.exp(by_itself[:, 1 : 1 + len(fitted.kinds)])
    shares /= 1 + np.exp(-by_itself[:, :1])
    likely = np.concatenate([chances(read.seen, fitted) for read in reads])
    said = [s for read in reads for s in read.said]
    for k, kind in enumerate(fitted.kinds):
        stated = np.array([kind in s for s in said])
        assert shares[stated, k].mean() > 5 * shares[~stated, k].mean(), kind
        # the network is taught by what fits that have not seen a note make of it, and twenty notes teach little
        assert likely[stated, k].mean() > 2 * likely[~stated, k].mean(), kind
