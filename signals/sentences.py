"""A squeezed text cut into sentences and clauses, each clause knowing the classes of the words in it.

1. Cut at 。!?; and line ends into sentences, at commas and colons into clauses.
2. One pass of the automaton finds every known word, longest first; a name made of ASCII letters must not
   continue a longer one.
3. Words whose meaning depends on their surroundings are read with the sentence and its neighbours in view.
4. Numbers and two patterns (the more ... the more; from ... to) add classes of their own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from signals.lexicon import Entity, Lexicon, Reading
from signals.normalise import Squeezed, halves, squeeze
from signals.quantities import Quantity, find_quantities

__all__ = ["Clause", "Hit", "Scan", "scan"]

_CUT = re.compile(r"[。!?;\n]+|[,:()]|-{2,}")
_TURN = re.compile(r"^([^\n:,。?!]{1,8}):[^\n]*(?:\n(?![^\n:,。?!]{1,8}:)[^\n]*)*", re.MULTILINE)
_TINY = 3
_WARNING = re.compile(r"[^,:;。]{0,6}风险[^,。;]{0,6}:")  # a list of risks is one sentence, however it is cut
_RHETORICAL = re.compile(r"(?:不是|难道|万一)[^。!?;\n]*[吗]?\?")
_TO = r"[^,。!?;\n]{1,12}(?:向|到|升级|转)"
_PATTERNS = (
    ("themore", re.compile(r"越(?!来)[^,。!?;\n越]{1,8},?[^,。!?;\n越]{0,12}越(?!来)")),
    # each way begins with a character: the search looks for those and skips the rest
    ("fromto", re.compile(rf"从{_TO}|由{_TO}|单相向|单向向")),
    # 本来说八月出,现在要等到明年: a delay that no single word tells
    (
        "delay",
        re.compile(
            r"(?:本来|原来|原定|原计划|之前)说?[^。!?;\n]{1,24}"
            r"(?:现在(?:要|得|看要)?(?:等|推|挪|到)|往后|要等到|等到)"
        ),
    ),
    ("cert", re.compile(r"(?:通过了?|过了)[^,。!?;\n]{1,10}(?:测试|认证|验证|考核|审核)")),
    ("rhetoric", re.compile(r"不是[^,。!?;\n]*(?:嘛|吗)")),
)


@dataclass(slots=True, eq=False)
class Hit:
    """One known word in the text; offsets into the squeezed text."""

    start: int
    end: int
    mask: int
    entity: Entity | None
    relation: str


@dataclass(slots=True, eq=False)
class Clause:
    """A stretch between commas; ``mask`` is the union of its words' classes."""

    start: int
    end: int
    sentence: int
    mask: int = 0
    hits: list[Hit] = field(default_factory=list)
    quantities: list[Quantity] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Scan:
    """A text cut and read: clauses in order, and by sentence its clauses, paragraph and whether it asks."""

    squeezed: Squeezed
    clauses: list[Clause]
    sentences: list[tuple[int, int, int, bool]]  # first clause, one past the last, paragraph, is a question


def scan(text: str, lexicon: Lexicon, start: int = 0) -> Scan:
    """Cut ``text[start:]`` and read its words."""
    squeezed = squeeze(text, start)
    clauses, sentences = _cut(squeezed.text)
    if clauses:
        sentences = _silence_askers(squeezed.text, clauses, sentences)
        _read_words(squeezed, text, clauses, sentences, lexicon)
        _read_numbers(squeezed.text, clauses, lexicon)
    return Scan(squeezed, clauses, sentences)


def _cut(text: str) -> tuple[list[Clause], list[tuple[int, int, int, bool]]]:
    clauses: list[Clause] = []
    sentences: list[tuple[int, int, int, bool]] = []
    begin = first = paragraph = 0
    sentence_start = 0
    for m in _CUT.finditer(text):
        (start, end), mark = m.span(), m[0]
        if mark == ",":
            stops = False
        else:
            stops = mark[0] in "。!?\n" or (mark[0] == ";" and not _WARNING.match(text, sentence_start))
        if stops:
            if mark == "?" and text[start - 2 : start] in ("对吧", "是吧"):
                continue  # 对吧? asks for a nod
        elif 0 < start - begin <= _TINY and mark in ",:":
            continue  # 对, 可能, 啊: a breath, not a clause; it joins the next one
        elif text[end : end + 1].isdigit() and text[start - 1 : start].isdigit():
            continue  # 1,000 and 10:30
        if start > begin:
            clauses.append(Clause(begin, start, len(sentences)))
        begin = end
        if stops:
            if len(clauses) > first:
                asks = "?" in mark and not _RHETORICAL.search(text, sentence_start, end)
                sentences.append((first, len(clauses), paragraph, asks))
                first = len(clauses)
            sentence_start = end
            if "\n" in mark:
                paragraph += 1
    if len(text) > begin:
        clauses.append(Clause(begin, len(text), len(sentences)))
    if len(clauses) > first:
        sentences.append((first, len(clauses), paragraph, False))
    return clauses, sentences


def _silence_askers(
    text: str, clauses: list[Clause], sentences: list[tuple[int, int, int, bool]]
) -> list[tuple[int, int, int, bool]]:
    """Everything an interviewer says counts as asked: who leads the talk repeats the answers he was given.

    A speaker (``A:`` at the head of a paragraph) is one where more than half of two or more turns ask.
    """
    turns = [(m.start(), m[1], "?" in m[0]) for m in _TURN.finditer(text)]
    asked: dict[str, list[bool]] = {}
    for _, who, asks in turns:
        asked.setdefault(who, []).append(asks)
    askers = {who for who, turns_ in asked.items() if len(turns_) > 1 and 2 * sum(turns_) > len(turns_)}
    if not askers or len(asked) < 2:
        return sentences
    starts = [start for start, _, _ in turns]
    out = []
    for first, stop, paragraph, asks in sentences:
        turn = bisect_right(starts, clauses[first].start) - 1
        silent = turn >= 0 and turns[turn][1] in askers
        out.append((first, stop, -1 if silent else paragraph, asks or silent))
    return out


def _read_words(
    squeezed: Squeezed,
    text: str,
    clauses: list[Clause],
    sentences: list[tuple[int, int, int, bool]],
    lexicon: Lexicon,
) -> None:
    offsets, last = squeezed.offsets, len(text) - 1
    waiting: list[tuple[Clause, int, int, tuple[Reading, ...]]] = []
    ignored = lexicon.mask("ignored")  # in the tables so that a longer word hides the shorter one inside it
    following = iter(clauses)
    clause = next(following)
    start, stop = clause.start, clause.end
    for last_half, (surface, readings, guarded, plain) in lexicon.automaton.iter_long(halves(squeezed.codes)):
        last_ = last_half // 2
        end = last_ + 1
        begin = end - len(surface)
        while begin >= stop:
            clause = next(following, clause)
            if clause.end == stop:  # the last
                break
            start, stop = clause.start, clause.end
        if begin < start or end > stop:
            continue
        if guarded:
            o = offsets[begin]
            if o and _continues(text[o - 1], text[o]):
                continue
            o = offsets[last_]
            if o < last and _continues(text[o], text[o + 1]):
                continue
        if plain is None:
            waiting.append((clause, begin, end, readings))
            continue
        entity, mask, relation = plain
        if mask != ignored:
            clause.mask |= mask
            clause.hits.append(Hit(begin, end, mask, entity, relation))
    for clause, begin, stop, readings in waiting:
        near = 0
        for number in range(max(0, clause.sentence - 1), min(len(sentences), clause.sentence + 2)):
            for c in clauses[sentences[number][0] : sentences[number][1]]:
                near |= c.mask
        for needs, unless, entity, mask, relation in readings:
            if (not needs or near & needs) and not near & unless:
                clause.mask |= mask
                clause.hits.append(Hit(begin, stop, mask, entity, relation))
                clause.hits.sort(key=lambda hit: hit.start)
                break


def _continues(a: str, b: str) -> bool:
    """Whether two neighbours are one word or one number: both ASCII letters, or both digits."""
    return (a.isascii() and b.isascii()) and ((a.isalpha() and b.isalpha()) or (a.isdigit() and b.isdigit()))


def _read_numbers(text: str, clauses: list[Clause], lexicon: Lexicon) -> None:
    bits = lexicon.bits
    at = 0
    for quantity in find_quantities(text):
        while quantity.start >= clauses[at].end and at + 1 < len(clauses):
            at += 1
        clause = clauses[at]
        if quantity.start < clause.start:
            continue
        # 920C and NVL72 hold digits that are part of a name
        start, end = quantity.start, quantity.end
        for h in clause.hits:
            if h.end > start:
                inside = h.start < end and h.entity is not None
                break
        else:
            inside = False
        if inside:
            continue
        clause.quantities.append(quantity)
        clause.mask |= 1 << bits[quantity.cls]
    for cls, pattern in _PATTERNS:
        bit = 1 << lexicon.bits[cls]
        at = 0
        for m in pattern.finditer(text):
            while m.start() >= clauses[at].end and at + 1 < len(clauses):
                at += 1
            if m.start() >= clauses[at].start:
                clauses[at].mask |= bit
                clauses[at].hits.append(Hit(m.start(), m.end(), bit, None, "pattern"))
