"""The fitted model of ``signals.reader``: what it sees in a clause and around it, and the weights it was given.

1. ``Weights.by_itself``  a linear model of a clause's own words: an event or not, which kind (logistic regression), and
                          what is told of around such words (naive Bayes)
2. ``in_context``         the same of the clauses around, since who tells of margins goes on to tell of margins
3. ``Weights.chances``    a network with one hidden layer over both: no event, or one of each kind
4. ``Weights.bearing``    a linear model of an event's own words: its sign and its certainty
5. ``weights``            what ``tests/signals/fit.py`` found on the corpus, read from ``signals/data/reader.npz``
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np

from data_cache.errors import StorageError
from signals.features import Array, Features, names

__all__ = ["Weights", "chance", "fading", "in_context", "weights"]

_HALVED, _SOON_HALVED = 4.0, 1.0  # clauses
_LONG = 200  # clauses; the corpus has few notes longer
_FLOOR = -12.0  # of the logarithm of a share


@dataclass(frozen=True, eq=False)  # holds arrays
class Weights:
    """A fitted model: M features with names, K kinds; 7 for three signs and four certainties.

    What a clause states is read twice: by a linear model of its own words, then by a network with one hidden layer of
    what that model finds in the clause and around it.

    Args:
        kinds: the K kinds it knows.
        runs: (COLUMNS, 1 + K) of the runs of characters, for the event and for each kind.
        near: (COLUMNS, K) logarithm of how much more of each kind is told around a run than elsewhere.
        told: (M, 3 + 3K) of classes and rules in the clause itself, in the one before it, in the one behind it.
        bias: (1 + K,) of the event and of each kind.
        hidden: (D, H) and ``hidden_bias``: (H,), of the network that sees the D columns of ``in_context``.
        out: (H, 1 + K) and ``out_bias``: (1 + K,), of what it says: no event, or one of each kind.
        says_runs: (BEARING_COLUMNS, 7) what runs say of sign and certainty.
        says_told: ((1 + K)M, 7) what classes and rules say of them, in any event and in one of each kind.
        says_kind: (K, 7) what a kind says of them.
    """

    kinds: tuple[str, ...]
    runs: Array
    near: Array
    told: Array
    bias: Array
    hidden: Array
    hidden_bias: Array
    out: Array
    out_bias: Array
    says_runs: Array
    says_told: Array
    says_kind: Array

    @cached_property
    def number(self) -> dict[str, int]:
        """The place of each kind in ``kinds``."""
        return {kind: k for k, kind in enumerate(self.kinds)}

    def by_itself(self, seen: Features) -> Array:
        """(n, 1 + 2K) of each clause, from its words and what it sees of its neighbours alone.

        The log odds that it states an event, and of each kind if it does; then of each kind how much more the talk
        around such words is of it than elsewhere: the sum of its runs' log ratios, over the root of their number.
        """
        n = seen.told.shape[0]
        parts = (seen.runs @ self.runs).reshape(3, n, -1) + (seen.told @ self.told).reshape(
            n, 3, -1
        ).swapaxes(0, 1)
        total, before, after = parts
        total[1:] += before[:-1] * seen.joined[:, None]
        total[:-1] += after[1:] * seen.joined[:, None]
        own = seen.runs[:n]
        near = (own @ self.near) / np.sqrt(np.diff(own.indptr))[:, None]
        return np.concatenate([total + self.bias, near], axis=1, dtype=np.float32)

    def chances(self, by_itself: Array, joined: Array) -> Array:
        """(n, K) the chance that a clause states an event of each kind, the clauses around it considered."""
        within = np.maximum(in_context(by_itself, joined) @ self.hidden + self.hidden_bias, 0.0)
        return np.asarray(np.exp(_log_shares(within @ self.out + self.out_bias))[:, 1:])

    def bearing(self, events: Sequence[tuple[str, int, int]], seen: Features) -> Array:
        """(events, 7) log odds of each sign and certainty of events, each a kind and its first and last clause."""
        numbers = [self.number[kind] for kind, _, _ in events]
        runs, told = seen.bearing(
            [(k, *event) for k, event in zip(numbers, events, strict=True)], len(self.kinds)
        )
        return np.asarray(runs @ self.says_runs + told @ self.says_told + self.says_kind[numbers])


def chance(odds: Array) -> Array:
    """The chance that has some log odds, however large: the logistic function without its overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds))


def _log_shares(odds: Array) -> Array:
    """Logarithms of shares that add up to one in each row."""
    odds = odds - odds.max(axis=1, keepdims=True)
    return np.asarray(odds - np.log(np.exp(odds).sum(axis=1, keepdims=True)))


def in_context(by_itself: Array, joined: Array) -> Array:
    """(n, 6 + 11K + 5) what each of n clauses says, what is said around it, and where it stands.

    Args:
        by_itself: (n, 1 + 2K) of each clause by itself.
        joined: (n - 1,) whether a clause and the next are of one sentence.

    Returns:
        Its own log odds of an event, and the logarithms of its kinds' shares; then five sums of chances, of an event
        and of each kind: in the rest of its sentence, in the clause before, in the one behind, in all before and in
        all behind, there with half the weight every ``_HALVED`` clauses; what is told of around its words, and around
        those of all before and of all behind, summed likewise and with half the weight every ``_SOON_HALVED``; then
        whether it begins and ends a sentence, the logarithm of n (at most ``_LONG``), and how far into the note it is,
        in clauses (inverse) and as a share.
    """
    n, k = len(by_itself), by_itself.shape[1] // 2
    shares, near = _log_shares(by_itself[:, 1 : 1 + k]), by_itself[:, 1 + k :]
    event = chance(by_itself[:, :1])
    said = np.concatenate([event, event * np.exp(shares)], axis=1)
    begins, ends = np.append(True, ~joined), np.append(~joined, True)
    starts = np.flatnonzero(begins)
    of_sentence = np.repeat(np.add.reduceat(said, starts), np.diff(np.append(starts, n)), axis=0)
    both = np.concatenate([said, near], axis=1)
    nothing = np.zeros_like(both[:1])
    before, behind = np.concatenate([nothing, both[:-1]]), np.concatenate([both[1:], nothing])
    at = np.arange(n)
    place = np.stack([begins, ends, np.full(n, np.log(min(n, _LONG))), 1.0 / (1.0 + at), at / n], axis=1)
    parts = (
        by_itself[:, :1],
        np.maximum(shares, _FLOOR),
        of_sentence - said,
        before[:, : 1 + k],
        behind[:, : 1 + k],
    )
    summed = [fading(before), fading(behind[::-1])[::-1]]
    summed += [fading(before[:, 1 + k :], _SOON_HALVED), fading(behind[::-1, 1 + k :], _SOON_HALVED)[::-1]]
    return np.concatenate([*parts, *summed, near, place.astype(np.float32)], axis=1)


def fading(chances: Array, halved: float = _HALVED) -> Array:
    """Of each row the sum of it and those before, each with the weight of the one behind it times 0.5 ** (1 / halved).

    The sums of 1, 2, 4, ... rows, until what is left out weighs less than a 250th.
    """
    total = chances.copy()
    rows = 1
    while rows < 8 * halved:
        total[rows:] += 0.5 ** (rows / halved) * total[:-rows]
        rows *= 2
    return total


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
        return np.concatenate([array, np.zeros_like(array[:1])]).astype(np.float32)[at]

    return Weights(
        tuple(str(kind) for kind in held["kinds"]),
        held["runs"].astype(np.float32) * held["scale"],
        held["near_runs"].astype(np.float32) * held["near_scale"],
        placed(held["told"]),
        held["bias"],
        held["hidden"],
        held["hidden_bias"],
        held["out"],
        held["out_bias"],
        held["says_runs"].astype(np.float32) * held["says_scale"],
        np.concatenate([placed(told) for told in held["says_told"]]),
        held["says_kind"],
    )
