"""The fitted model of ``signals.reader``: what it sees in a clause and around it, and the weights it was given.

1. ``Weights.by_itself``  a linear model of a clause's own words: an event or not, which kind (logistic regression), and
                          what is told of around such words (naive Bayes)
2. ``in_context``         the same of the clauses around, since who tells of margins goes on to tell of margins
3. ``Weights.chances``    a network with one hidden layer over both: no event, or one of each kind
4. ``Weights.anew``       a small one over ``side_by_side``: of two clauses of one kind, whether each states its own
5. ``Weights.bearing``    a linear model of an event's own words: its sign and its certainty
6. ``weights``            what ``tests/signals/fit.py`` found on the corpus, read from ``signals/data/reader.npz``
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np

from data_cache.errors import StorageError
from signals.features import Features, names
from signals.loops import Array, loop
from signals.sums import Table

__all__ = ["Weights", "chance", "in_context", "log_shares", "side_by_side", "weights"]

_KEPT = np.array([0.5**0.25, 0.5], np.float32)
"""What is left of a sum a clause on: of what is said half in four clauses, of what is told near such words in one."""
_LONG = 200  # clauses; the corpus has few notes longer
_FLOOR = -12.0  # of the logarithm of a share


@dataclass(frozen=True, eq=False)  # holds arrays
class Weights:
    """A fitted model: M features with names, K kinds; 7 for three signs and four certainties.

    What a clause states is read twice: by a linear model of its own words, then by a network with one hidden layer of
    what that model finds in the clause and around it.

    Args:
        kinds: the K kinds it knows.
        runs: COLUMNS x (2 + 2K) of the runs of characters: for the event, for each kind, and for a statement that
            begins; then for each kind the logarithm of how much more of it is told around a run than elsewhere.
        told: M x (6 + 3K) of classes and rules in the clause itself, in the one before it, in the one behind it.
        bias: (2 + K,) of all those.
        hidden: (D, H) and ``hidden_bias``: (H,), of the network that sees the D columns of ``in_context``.
        out: (H, 1 + K) and ``out_bias``: (1 + K,), of what it says: no event, or one of each kind.
        apart: of the network that sees ``side_by_side``: (9, J) and (J,), then (J, 1) and (1,).
        says_runs: BEARING_COLUMNS x 7, what runs say of sign and certainty.
        says_told: (1 + K)M x 7, what classes and rules say of them, in any event and in one of each kind.
        says_kind: (K, 7) what a kind says of them.
    """

    kinds: tuple[str, ...]
    runs: Table
    told: Table
    bias: Array
    hidden: Array
    hidden_bias: Array
    out: Array
    out_bias: Array
    apart: tuple[Array, Array, Array, Array]
    says_runs: Table
    says_told: Table
    says_kind: Array

    @cached_property
    def number(self) -> dict[str, int]:
        """The place of each kind in ``kinds``."""
        return {kind: k for k, kind in enumerate(self.kinds)}

    def by_itself(self, seen: Features) -> Array:
        """(n, 2 + 2K) of each clause, from its words and what it sees of its neighbours alone.

        The log odds that it states an event; the logarithm of each kind's share if it does; the log odds that it begins
        a statement, should the clause before be of the same kind; then of each kind how much more the talk around such
        words is of it than elsewhere: the sum of its runs' log ratios, over the root of their number.
        """
        for ones in (seen.runs, seen.before, seen.after):
            self.runs.fits(ones)
        self.told.fits(seen.told)
        k = len(self.kinds)
        total = np.empty((seen.joined.size + 1, 2 + 2 * k), np.float32)
        loop("by_itself")(
            runs=seen.runs.columns,
            first=seen.runs.first,
            before=seen.before.columns,
            after=seen.after.columns,
            pair_first=seen.before.first,
            told=seen.told.columns,
            told_first=seen.told.first,
            joined=seen.joined,
            table=self.runs.values,
            scale=self.runs.scale,
            told_table=self.told.values,
            told_scale=self.told.scale,
            bias=self.bias,
            row=np.empty((1, self.told.scale.size), np.float32),
            total=total,
        )
        total[:, 1 : 1 + k] = log_shares(total[:, 1 : 1 + k])
        return total

    def chances(self, by_itself: Array, joined: Array) -> Array:
        """(n, K) the chance that a clause states an event of each kind, the clauses around it considered."""
        within = np.maximum(in_context(by_itself, joined) @ self.hidden + self.hidden_bias, 0.0)
        odds = within @ self.out + self.out_bias
        told = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(told[:, 1:] / told.sum(axis=1, keepdims=True))

    def anew(self, by_itself: Array, stated: Array, seen: Features) -> Array:
        """(n, K) the chance that a clause states a kind apart from the clause before it in its sentence.

        0 where not both do: ``stated`` is (n, K), whether a clause states a kind.
        """
        apart = np.zeros(stated.shape, np.float32)
        at, kind = np.nonzero(stated[:-1] & stated[1:] & seen.joined[:, None])
        if at.size:
            hidden, hidden_bias, out, out_bias = self.apart
            within = np.maximum(side_by_side(by_itself, seen, at, kind) @ hidden + hidden_bias, 0.0)
            apart[at + 1, kind] = chance(within @ out + out_bias)[:, 0]
        return apart

    def bearing(self, events: Sequence[tuple[str, int, int]], seen: Features) -> Array:
        """(events, 7) log odds of each sign and certainty of events, each a kind and its first and last clause."""
        numbers = [self.number[kind] for kind, _, _ in events]
        runs, told = seen.bearing(
            [(k, *event) for k, event in zip(numbers, events, strict=True)], len(self.kinds)
        )
        return np.asarray(self.says_runs.sums(runs) + self.says_told.sums(told) + self.says_kind[numbers])


def chance(odds: Array) -> Array:
    """The chance that has some log odds, however large: the logistic function without its overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds))


def log_shares(odds: Array) -> Array:
    """Logarithms of shares that add up to one in each row."""
    odds = odds - odds.max(axis=1, keepdims=True)
    return np.asarray(odds - np.log(np.exp(odds).sum(axis=1, keepdims=True)))


def in_context(by_itself: Array, joined: Array) -> Array:
    """(n, 6 + 9K + 5) what each of n clauses says, what is said around it, and where it stands.

    Args:
        by_itself: (n, 2 + 2K) of each clause by itself.
        joined: (n - 1,) whether a clause and the next are of one sentence.

    Returns:
        Its own log odds of an event, and the logarithms of its kinds' shares; then five sums of chances, of an event
        and of each kind: in the rest of its sentence, in the clause before, in the one behind, in all before and in
        all behind, there with half the weight every four clauses; what is told of around the words of all before and
        of all behind, with half the weight every clause, and around its own; then whether it begins and ends a
        sentence, the logarithm of n (at most ``_LONG``), and how far into the note it is, in clauses (inverse) and as a
        share.
    """
    n, k = len(by_itself), by_itself.shape[1] // 2 - 1
    event = chance(by_itself[:, :1])
    seen = np.empty((n, 6 + 9 * k + 5), np.float32)
    loop("in_context")(
        by_itself=by_itself,
        said=np.concatenate([event, event * np.exp(by_itself[:, 1 : 1 + k])], axis=1),
        joined=joined,
        keep=_KEPT,
        floor=_FLOOR,
        size=math.log(min(n, _LONG)),
        seen=seen,
    )
    return seen


def side_by_side(by_itself: Array, seen: Features, at: Array, kind: Array) -> Array:
    """(p, 9) what tells whether clauses ``at`` and those behind them state each ``kind`` (p,) once or each its own.

    The log odds that the second begins a statement; then of both the log odds of an event, the logarithm of the
    kind's share, and the number of runs (how long it is); then the chance of the kind in the clause before and in the
    one behind, 0 where they are of other sentences.
    """
    k = by_itself.shape[1] // 2 - 1
    four = np.clip(
        at[:, None] + np.arange(-1, 3), 0, seen.joined.size
    )  # from the one before to the one behind
    odds, share = by_itself[four, 0], by_itself[four, 1 + kind[:, None]]
    joined = np.concatenate([[False], seen.joined, [False]])
    beside = chance(odds[:, [0, 3]]) * np.exp(share[:, [0, 3]]) * joined[np.stack([at, at + 2], axis=1)]
    begins, two = by_itself[four[:, 2], 1 + k], slice(1, 3)
    size = np.diff(seen.runs.first)[four[:, two]]
    columns = (begins[:, None], odds[:, two], np.maximum(share[:, two], _FLOOR), size, beside)
    return np.concatenate(columns, axis=1, dtype=np.float32)


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
    at = np.array([known.get(name, len(known)) for name in names()])  # the row after the last is of zeros

    def table(name: str) -> Table:
        return Table(held[name], held[f"{name}_scale"])

    def placed(name: str) -> Table:
        values = held[name].reshape(-1, len(known), held[name].shape[1])  # in as many blocks as there are
        values = np.concatenate([values, np.zeros_like(values[:, :1])], axis=1)[:, at]
        return Table(values.reshape(-1, values.shape[2]), held[f"{name}_scale"])

    return Weights(
        tuple(str(kind) for kind in held["kinds"]),
        table("runs"),
        placed("told"),
        held["bias"],
        held["hidden"],
        held["hidden_bias"],
        held["out"],
        held["out_bias"],
        (held["apart_hidden"], held["apart_hidden_bias"], held["apart_out"], held["apart_out_bias"]),
        table("says_runs"),
        placed("says_told"),
        held["says_kind"],
    )
