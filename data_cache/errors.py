"""Every error a user can meet, and the exit code each one ends the command with.

::

    AshareError (1)
    ├── UsageError (2)            the command or call is wrong: a name, a flag, a file that cannot be read
    │   ├── UnknownSymbol
    │   ├── UnknownName           a strategy, universe, column or kind mistyped; suggests the nearest
    │   ├── UndatedNote
    │   └── NoData                nothing stored where something was asked for
    ├── Partial (3)               part was done; says exactly what was not
    ├── ProvidersFailed (4)       no provider answered
    ├── IntegrityError (5)        the data breaks a rule; what breaks it is not used
    ├── StorageError (74)         the disk is full, the file is damaged or not ours to write
    └── StoreBusy (75)            another process holds the store; try again

A message carries its evidence and the remedy: what was received, what is needed, what to do.
A Python mistake inside the library is not an ``AshareError`` and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AshareError",
    "IntegrityError",
    "NoData",
    "Partial",
    "ProvidersFailed",
    "StorageError",
    "StoreBusy",
    "UndatedNote",
    "UnknownName",
    "UnknownSymbol",
    "UsageError",
]


class AshareError(Exception):
    """The root of every expected failure; the command line prints it and exits with ``exit_code``."""

    exit_code = 1


class UsageError(AshareError):
    """The request itself is wrong; nothing was done."""

    exit_code = 2


class UnknownSymbol(UsageError):
    """A text that names no A-share symbol, or a symbol the store does not hold."""


class UnknownName(UsageError):
    """A name that is not among the known ones.

    Args:
        what: the kind of name, e.g. ``"strategy"``.
        given: what was received.
        known: every accepted name; the nearest is suggested.
    """

    def __init__(self, what: str, given: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {what} {given!r}; {hint}")


class UndatedNote(UsageError):
    """A note with no publication time: it cannot be traded at a known moment."""


class NoData(UsageError):
    """The store holds nothing in what was asked for."""


class Partial(AshareError):
    """Some of the work was done and stored; the message lists what was not."""

    exit_code = 3


class ProvidersFailed(AshareError):
    """Every provider failed; the store is as it was."""

    exit_code = 4


class IntegrityError(AshareError):
    """Data that breaks a named rule where none may be broken.

    A file, a rule table or a backtest is then refused whole; a refresh has set those rows aside and stored the others.
    """

    exit_code = 5


class StorageError(AshareError):
    """The disk or the database file fails us (EX_IOERR)."""

    exit_code = 74


class StoreBusy(AshareError):
    """Another process holds the store or the refresh lock (EX_TEMPFAIL)."""

    exit_code = 75
