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

from functools import cache

import numpy as np

from signals.features import CERTAINTIES, SIGNS, Array, features, runs
from signals.lexicon import Rule, lexicon
from signals.match import Candidate, subject_of
from signals.model import chance, weights
from signals.sentences import Hit, Scan

__all__ = ["LEARNED", "by_its_words", "read", "weighty_words"]

LEARNED = "learned"
"""In place of a rule's name where none met."""
_ALONE, _RULED = 0.38, 0.25
"""How likely a clause must state an event of a kind where no rule met it, and where one did; the best of a few tried
on authors left out of the fit."""
_ALONE_UNFAMILIAR, _RULED_UNFAMILIAR = 0.9, 0.001
"""The same in notes told otherwise than those the model was taught on: there the rules are trusted more. Set with the
two real notes in view."""
_FAMILIAR = 0.19
"""A note is familiar where of the clauses that by their own words are called events more than this share are so with 19
chances in 20. (The two real notes have 0.13 and 0.14; 34 strangers' notes, written as the corpus was, 0.22 to 0.58.)"""
_SHORT = 50  # clauses; of a shorter note nobody can say how it is told
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
    alone, ruled, familiar = _trusted(by_itself[:, 0])
    stated = chances >= alone
    told: dict[str, list[Candidate]] = {}
    for c in met:
        k = held.number.get(c.rule.kind)
        if k is None:  # a kind the corpus has no marks of: its rule alone speaks for those words
            stated[c.lo : c.hi + 1] = False
        if k is None or _most(chances, k, c) >= ruled:
            told.setdefault(c.rule.kind, []).append(c)
    for c in denied:
        if c.rule.kind in held.number:
            first, stop, *_ = found.sentences[c.sentence]
            stated[first:stop, held.number[c.rule.kind]] = False
    own = _alone(held.kinds, stated, told, found)
    out = [c for of_kind in told.values() for c in of_kind]
    for c in out:
        if (k := held.number.get(c.rule.kind)) is not None:
            c.likely, c.odds = _most(chances, k, c), by_itself[c.lo : c.hi + 1]
    borne = [c for c in out if c.likely is not None] if familiar else own
    if borne:
        odds = held.bearing([(c.rule.kind, c.lo, c.hi) for c in borne], seen)
        signs, certainties = odds[:, : len(SIGNS)].argmax(axis=1), odds[:, len(SIGNS) :].argmax(axis=1)
        for c, sign, certainty in zip(borne, signs.tolist(), certainties.tolist(), strict=True):
            c.polarity, c.certainty, c.borne_by = SIGNS[sign], CERTAINTIES[certainty], "model"
    return out


def _most(chances: Array, k: int, c: Candidate) -> float:
    """The chance that the likeliest clause of an event states it."""
    return float(chances[c.lo : c.hi + 1, k].max()) if c.hi > c.lo else float(chances[c.lo, k])


def _trusted(odds: Array) -> tuple[float, float, bool]:
    """How far the weights are trusted with a note whose clauses, by themselves, have these log odds of an event.

    Returns:
        How likely an event must be where no rule met it, and where one did; and whether the weights also say how an
        event that a rule met bears, and how sure it is.
    """
    if len(odds) < _SHORT:
        return _ALONE, _RULED_UNFAMILIAR, False
    if int((odds > _SURE).sum()) > _FAMILIAR * int((odds > 0).sum()):
        return _ALONE, _RULED, True
    return _ALONE_UNFAMILIAR, _RULED_UNFAMILIAR, False


def _alone(
    kinds: tuple[str, ...], stated: Array, told: dict[str, list[Candidate]], found: Scan
) -> list[Candidate]:
    """One event for each run of clauses that state a kind in a sentence, added to those ``told`` and returned.

    A run that goes on from a rule's event is its.
    """
    new: list[Candidate] = []
    of: dict[tuple[str, int], Candidate] = {
        (kind, i): c for kind, of_kind in told.items() for c in of_kind for i in range(c.lo, c.hi + 1)
    }
    for k, i in zip(*(places.tolist() for places in np.nonzero(stated.T)), strict=True):
        kind = kinds[k]
        if (kind, i) in of:
            continue
        for j in (i - 1, i + 1):
            c = of.get((kind, j))
            if c is not None and c.sentence == found.clauses[i].sentence:
                c.lo, c.hi = min(c.lo, i), max(c.hi, i)
                break
        else:
            c = _candidate(kind, i, found)
            told.setdefault(kind, []).append(c)
            new.append(c)
        of[kind, i] = c
    return new


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
    held = weights()
    kinds = c.odds[:, 1 : 1 + len(held.kinds)]
    shares = np.exp(kinds - kinds.max(axis=1, keepdims=True))
    of_kind = shares[:, held.number[c.rule.kind]] / shares.sum(axis=1)
    return float((chance(c.odds[:, 0]) * of_kind).max())


def weighty_words(found: Scan, c: Candidate) -> list[Hit]:
    """The words of an event that spoke most for its kind."""
    held = weights()
    if c.rule.kind not in held.kinds:
        return []
    column = 1 + held.kinds.index(c.rule.kind)
    weighed: list[tuple[float, int, int]] = []
    for clause in found.clauses[c.lo : c.hi + 1]:
        weighed += [
            (float(held.runs[run, column] + held.runs[run, 0]), start, end)
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
