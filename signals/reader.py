"""What notes of our own taught: which clauses state an event, of which kind, how it bears, and how sure it is.

Rules know what they were told; people say it otherwise. So every clause is also weighed by a model
(``signals.model``) over what ``signals.features`` sees of it, the rules met among it, fitted on the invented,
hand-marked notes in ``tests/signals/corpus``.

1. ``read``           the events a rule met and the model does not reject, and those it sees where no rule met; in a
                      note told as the corpus was, with the model's sign and certainty, else with the rule's
2. ``by_its_words``   how likely the model holds an event without what is said around it
3. ``weighty_words``  the words that weighed most in an event
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from signals.features import CERTAINTIES, SIGNS, features, runs
from signals.lexicon import Rule, lexicon
from signals.loops import Array
from signals.match import Candidate, subject_of
from signals.merge import each_its_own
from signals.model import chance, weights
from signals.sentences import Clause, Hit, Scan

__all__ = ["LEARNED", "by_its_words", "read", "weighty_words"]

LEARNED = "learned"
"""In place of a rule's name where none met."""


class _Trust(NamedTuple):
    """How far the weights are trusted with a note."""

    alone: float
    """How likely a clause must state an event of a kind where no rule met it."""
    ruled: float
    """How likely where one did."""
    apart: float
    """How likely the second of two clauses of one kind must state its own event; above 1 they are always one."""
    bearing: bool
    """Whether the weights also say how an event that a rule met bears, and how sure it is."""


_TRUST = _Trust(0.38, 0.25, 0.4, bearing=True)
"""The best of a few tried on authors left out of the fit; ``apart`` on those who mark as many apart as strangers do."""
_TRUST_UNFAMILIAR = _Trust(0.9, 0.001, math.inf, bearing=False)
"""In notes told otherwise than those the model was taught on: there the rules are trusted more. Set with the two real
notes in view."""
_TRUST_SHORT = _Trust(_TRUST.alone, _TRUST_UNFAMILIAR.ruled, _TRUST.apart, bearing=False)
"""In notes so short that nobody can say how they are told."""
_FAMILIAR = 0.19
"""A note is familiar where of the clauses that by their own words are called events more than this share are so with 19
chances in 20. (The two real notes have 0.13 and 0.14; 34 strangers' notes, written as the corpus was, 0.22 to 0.58.)"""
_SHORT = 50  # clauses
_SURE = 2.94  # log odds of 19 in 20
_SHOWN = 4  # words that weighed most


def read(found: Scan, met: list[Candidate], denied: list[Candidate]) -> list[Candidate]:
    """The events of a scanned note, each with its sign and certainty.

    Args:
        found: the scan.
        met: what rules met, one candidate a statement.
        denied: what they found denied; their sentences do not state that kind, whatever the weights say.
    """
    if not found.clauses:
        return []
    held = weights()
    seen = features(found, met)
    by_itself = held.by_itself(seen)
    chances = held.chances(by_itself, seen.joined)
    trust = _trusted(by_itself[:, 0])
    stated = chances >= trust.alone
    told: dict[str, list[Candidate]] = {}
    for c in met:
        k = held.number.get(c.rule.kind)
        if k is None:  # a kind the corpus has no marks of: its rule alone speaks for those words
            stated[c.lo : c.hi + 1] = False
        if k is None or _most(chances, k, c) >= trust.ruled:
            told.setdefault(c.rule.kind, []).append(c)
    for first, stop, paragraph, _ in found.sentences:
        if paragraph < 0 and found.squeezed.text.startswith("?", found.clauses[stop - 1].end):
            stated[first:stop] = False  # who leads the talk asks, and tells nothing
    for c in denied:
        if c.rule.kind in held.number:
            first, stop, *_ = found.sentences[c.sentence]
            stated[first:stop, held.number[c.rule.kind]] = False
    apart = np.zeros_like(stated)
    if trust.apart <= 1:
        apart = _apart(held.anew(by_itself, stated, seen) >= trust.apart, stated, seen.joined, found.clauses)
    own = _alone(held.kinds, stated, apart, told, found)
    out = [c for of_kind in told.values() for c in of_kind]
    for c in out:
        if (k := held.number.get(c.rule.kind)) is not None:
            c.likely, c.odds = _most(chances, k, c), by_itself[c.lo : c.hi + 1]
    borne = [c for c in out if c.likely is not None] if trust.bearing else own
    if borne:
        odds = held.bearing([(c.rule.kind, c.lo, c.hi) for c in borne], seen)
        signs, certainties = odds[:, : len(SIGNS)].argmax(axis=1), odds[:, len(SIGNS) :].argmax(axis=1)
        for c, sign, certainty in zip(borne, signs.tolist(), certainties.tolist(), strict=True):
            c.polarity, c.certainty, c.borne_by = SIGNS[sign], CERTAINTIES[certainty], "model"
    return out


def _most(chances: Array, k: int, c: Candidate) -> float:
    """The chance that the likeliest clause of an event states it."""
    return float(chances[c.lo : c.hi + 1, k].max()) if c.hi > c.lo else float(chances[c.lo, k])


def _trusted(odds: Array) -> _Trust:
    """How far with a note whose clauses, by themselves, have these log odds of an event."""
    if len(odds) < _SHORT:
        return _TRUST_SHORT
    if int((odds > _SURE).sum()) > _FAMILIAR * int((odds > 0).sum()):
        return _TRUST
    return _TRUST_UNFAMILIAR


def _apart(anew: Array, stated: Array, joined: Array, clauses: list[Clause]) -> Array:
    """Where a clause states its own event of a kind that the clause before it states too: ``anew``, or of another."""
    both = stated[:-1] & stated[1:] & joined[:, None]
    for i in np.flatnonzero(both.any(axis=1)).tolist():
        if each_its_own(clauses[i], clauses[i + 1]):
            anew[i + 1] |= both[i]
    return anew


def _alone(
    kinds: tuple[str, ...], stated: Array, apart: Array, told: dict[str, list[Candidate]], found: Scan
) -> list[Candidate]:
    """One event for each run of clauses that state a kind in a sentence, added to those ``told`` and returned.

    A run that goes on from a rule's event is its. A run ends where the next clause states the kind ``apart``, and so
    does a rule's event: 英维克拿了六成,申菱两成 tells two shares.
    """
    begin = set(_places(apart))
    new: list[Candidate] = []
    of: dict[tuple[int, int], Candidate] = {}
    c: Candidate | None
    for k, kind in enumerate(kinds):
        for c in told.get(kind, ()):
            if any((k, i) in begin for i in range(c.lo + 1, c.hi + 1)):
                _cut(c, k, begin, found)
            for i in range(c.lo, c.hi + 1):
                of[k, i] = c
    for k, i in _places(stated):
        if (k, i) in of:
            continue
        for j, begins in ((i - 1, i), (i + 1, i + 1)):
            c = of.get((k, j))
            if c is not None and c.sentence == found.clauses[i].sentence and (k, begins) not in begin:
                c.lo, c.hi = min(c.lo, i), max(c.hi, i)
                break
        else:
            c = _candidate(kinds[k], i, found)
            told.setdefault(kinds[k], []).append(c)
            new.append(c)
        of[k, i] = c
    return new


def _places(flags: Array) -> Iterator[tuple[int, int]]:
    """Number of the kind and of the clause of each flag that is set, (n, K): the clauses of a kind in their order."""
    return zip(*(numbers.tolist() for numbers in np.nonzero(flags.T)), strict=True)


def _cut(c: Candidate, k: int, begin: set[tuple[int, int]], found: Scan) -> None:
    """Leave a rule's event the clauses around its anchor that are one statement."""
    lo = hi = c.at
    while lo > c.lo and (k, lo) not in begin:
        lo -= 1
    while hi < c.hi and (k, hi + 1) not in begin:
        hi += 1
    c.lo, c.hi = lo, hi
    start, end = found.clauses[lo].start, found.clauses[hi].end
    c.cues = [hit for hit in c.cues if start <= hit.start < end]
    c.subject, c.carried = subject_of(c.rule, lo, hi, found.sentences[c.sentence][0], found)


def _candidate(kind: str, i: int, found: Scan) -> Candidate:
    clause = found.clauses[i]
    rule = _rule(kind)
    subject, carried = subject_of(rule, i, i, found.sentences[clause.sentence][0], found)
    anchor = Hit(clause.start, clause.end, 0, None, LEARNED)
    return Candidate(rule, clause.sentence, i, i, i, anchor, [], subject, carried, 0, "fact")


@cache
def _rule(kind: str) -> Rule:
    """Stands for the weights: named ``LEARNED``, about what the first rule of the kind is about, after all rules."""
    rules = lexicon().rules
    first = next(rule for rule in rules if rule.kind == kind)
    return Rule(len(rules), LEARNED, kind, 0, (), 0, 0, 0, frozenset(), first.subject, ())


def by_its_words(c: Candidate) -> float | None:
    """The chance of an event of ``read`` from its own words alone; what ``likely`` has beyond it comes from around."""
    if c.odds is None:
        return None
    share = c.odds[:, 1 + weights().number[c.rule.kind]]
    return float((chance(c.odds[:, 0]) * np.exp(share)).max())


def weighty_words(found: Scan, c: Candidate) -> list[Hit]:
    """The words of an event that spoke most for its kind."""
    held = weights()
    if c.rule.kind not in held.kinds:
        return []
    column = 1 + held.kinds.index(c.rule.kind)
    weighed: list[tuple[float, int, int]] = []
    for clause in found.clauses[c.lo : c.hi + 1]:
        weighed += [
            (float(held.runs.row(run)[[0, column]].sum()), start, end)
            for run, start, end in runs(found, clause)
            if end - start > 1
        ]
    shown: list[Hit] = []
    for weight, start, end in sorted(weighed, key=lambda w: (-w[0], w[1], w[2])):
        if len(shown) == _SHOWN or weight <= 0:
            break
        if all(end <= hit.start or hit.end <= start for hit in shown):
            shown.append(Hit(start, end, 0, None, f"weighs {weight:+.1f}"))
    return sorted(shown, key=lambda hit: hit.start)
