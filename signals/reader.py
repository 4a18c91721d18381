"""What notes of our own taught: which clauses state an event, of which kind, how it bears, and how sure it is.

Rules know what they were told; people say it otherwise. So every clause is weighed by a linear model (logistic
regression) over ``signals.features``, fitted by ``tests/signals/fit.py`` on the invented, hand-marked notes in
``tests/signals/corpus``. The rules a clause meets are among its features.

1. ``Weights``        how likely a clause states an event, times which kind it then is; and what its clauses say of an
                      event's sign and certainty
2. ``read``           the events a rule met and the weights do not reject, with the rule's sign and certainty; and
                      those the weights see where no rule met
3. ``weighty_words``  the words that weighed most in an event
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from data_cache.errors import StorageError
from signals.features import CERTAINTIES, SIGNS, Array, Features, features, names, runs
from signals.lexicon import Rule, lexicon
from signals.match import Candidate, subject_of
from signals.sentences import Hit, Scan

__all__ = ["LEARNED", "Weights", "read", "weights", "weighty_words"]

LEARNED = "learned"
"""In place of a rule's name where none met."""
_ALONE, _RULED = 0.38, 0.15
"""How likely a clause must state an event of a kind where no rule met it, and where one did; the best of a few tried
on authors left out of the fit."""
_ALONE_UNFAMILIAR, _RULED_UNFAMILIAR = 0.9, 0.03
"""The same in notes told otherwise than those the weights were taught on: there the rules are trusted more."""
_FAMILIAR = 0.17
"""A note is familiar where of the clauses called events more than this share are so with 19 chances in 20. (The two
real notes have 0.12; twelve strangers' notes, written as the corpus was, 0.21 to 0.51.)"""
_SHORT = 50  # clauses; of a shorter note nobody can say how it is told
_SURE = 2.94  # log odds of 19 in 20
_SHOWN = 4  # words that weighed most


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Weights:
    """A fitted model: M features with names, K kinds, J = 1 + K + 3 signs + 4 certainties.

    Args:
        kinds: the K kinds it knows.
        runs: (COLUMNS, J) of the runs of characters.
        told: (3, M, J) of classes and rules in the clause itself, in the one before it, in the one behind it.
        bias: (1 + K,) of the event and of each kind.
        of_kind: (K, 7) what a kind says of sign and certainty.
        of_kind_told: (K, M, 7) what a class or rule says of them in an event of that kind.
    """

    kinds: tuple[str, ...]
    runs: Array
    told: Array
    bias: Array
    of_kind: Array
    of_kind_told: Array

    def score(self, seen: Features) -> Array:
        """(n, J) log odds: that a clause states an event; of each kind if it does; of each sign and certainty."""
        total = seen.own @ self.runs + seen.named @ self.told[0]
        before = seen.before @ self.runs + seen.named @ self.told[1]
        after = seen.after @ self.runs + seen.named @ self.told[2]
        total[1:] += before[:-1] * seen.joined[:, None]
        total[:-1] += after[1:] * seen.joined[:, None]
        total[:, : self.bias.size] += self.bias
        return np.asarray(total)

    def likely(self, scores: Array) -> Array:
        """(n, K) the chance that a clause states an event of each kind."""
        kind = scores[:, 1 : self.bias.size]
        odds = np.exp(kind - kind.max(axis=1, keepdims=True))
        event = 1.0 / (1.0 + np.exp(-scores[:, :1]))
        return np.asarray(event * odds / odds.sum(axis=1, keepdims=True))

    def bearing(self, kinds: list[int], spans: list[tuple[int, int]], scores: Array, told: Array) -> Array:
        """(events, 7) log odds of each sign and certainty of events, from the rows of their first to last clause."""
        first = [lo for lo, _ in spans]
        odds, within = scores[first, self.bias.size :] + self.of_kind[kinds], told[first]
        for e, (lo, hi) in enumerate(spans):
            if hi > lo:
                odds[e] += scores[lo + 1 : hi + 1, self.bias.size :].sum(axis=0)
                within[e] = told[lo : hi + 1].max(axis=0)
        return np.asarray(odds + np.einsum("em,emj->ej", within, self.of_kind_told[kinds]))


@cache
def weights() -> Weights:
    """The shipped weights, read once a process.

    Raises:
        StorageError: the file is not whole.
    """
    path = files("signals") / "data" / "reader.npz"
    try:
        with path.open("rb") as stream, np.load(stream) as held:
            return _placed(dict(held))
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise StorageError(
            f"the reader's weights in {path} cannot be read ({error}); install ashare-signals again"
        ) from error


def _placed(held: dict[str, Array]) -> Weights:
    """Weights by today's ``names``: a class the tables no longer have counts nothing, nor does one that is new."""
    known = {str(name): i for i, name in enumerate(held["names"])}
    at = [known.get(name, len(known)) for name in names()]  # the row after the last is of zeros

    def placed(array: Array) -> Array:
        padded = np.concatenate([array, np.zeros_like(array[:, :1])], axis=1).astype(np.float32)
        return np.asarray(padded[:, at])

    return Weights(
        tuple(str(kind) for kind in held["kinds"]),
        held["runs"].astype(np.float32) * held["scale"],
        placed(held["told"]),
        held["bias"],
        held["of_kind"],
        placed(held["of_kind_told"]),
    )


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
    number = {kind: k for k, kind in enumerate(held.kinds)}
    seen = features(found, met)
    scores = held.score(seen)
    likely = held.likely(scores)
    alone, ruled = _thresholds(scores[:, 0])
    stated = likely >= alone
    told: dict[str, list[Candidate]] = {}
    for c in met:
        k = number.get(c.rule.kind)
        if k is None:  # a kind the corpus has no marks of: its rule alone speaks for those words
            stated[c.lo : c.hi + 1] = False
        if k is None or likely[c.lo : c.hi + 1, k].max() >= ruled:
            told.setdefault(c.rule.kind, []).append(c)
    for c in denied:
        if c.rule.kind in number:
            first, stop, *_ = found.sentences[c.sentence]
            stated[first:stop, number[c.rule.kind]] = False
    for k in np.flatnonzero(stated.any(axis=0)).tolist():
        of_kind = told.setdefault(held.kinds[k], [])
        of_kind += _alone(held.kinds[k], stated[:, k], of_kind, found)
    for kind in number.keys() & told.keys():
        for c in told[kind]:
            c.likely = float(likely[c.lo : c.hi + 1, number[kind]].max())
    # what a rule says of sign and certainty stands
    own = [c for of_kind in told.values() for c in of_kind if c.rule.name == LEARNED]
    if own:
        spans = [(c.lo, c.hi) for c in own]
        odds = held.bearing([number[c.rule.kind] for c in own], spans, scores, seen.told)
        for c, row in zip(own, odds, strict=True):
            c.polarity = SIGNS[int(row[: len(SIGNS)].argmax())]
            c.certainty = CERTAINTIES[int(row[len(SIGNS) :].argmax())]
    return [c for of_kind in told.values() for c in of_kind]


def _thresholds(odds: Array) -> tuple[float, float]:
    """How likely an event must be without a rule, and with one, in a note whose clauses have these log odds."""
    if len(odds) < _SHORT:
        return _ALONE, _RULED_UNFAMILIAR
    if int((odds > _SURE).sum()) > _FAMILIAR * int((odds > 0).sum()):
        return _ALONE, _RULED
    return _ALONE_UNFAMILIAR, _RULED_UNFAMILIAR


def _alone(kind: str, stated: Array, met: list[Candidate], found: Scan) -> list[Candidate]:
    """One event for each run of clauses that state ``kind`` in a sentence; a run that goes on from a rule's is its."""
    out: list[Candidate] = []
    of = {i: c for c in met for i in range(c.lo, c.hi + 1)}
    for i in np.flatnonzero(stated).tolist():
        if i in of:
            continue
        beside = [of[j] for j in (i - 1, i + 1) if j in of and of[j].sentence == found.clauses[i].sentence]
        if beside:
            c = beside[0]
            c.lo, c.hi = min(c.lo, i), max(c.hi, i)
        else:
            c = _candidate(kind, i, found)
            out.append(c)
        of[i] = c
    return out


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
