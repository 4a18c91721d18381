"""The words the extractor knows, read from the tables in ``signals/data`` into one automaton.

1. ``entities.csv`` and ``aliases.csv``: names, their other spellings and the errors speech recognition makes
   of them. An alias may need, or exclude, classes in its surroundings: 越南 is a country, unless ...
2. ``cues.csv``: words by class (delay, ramp, negation, ...).
3. ``rules.csv``: which classes together, in how wide a window of clauses, make which kind of event.

Classes become bits, so that "does this clause hold a delay and a rack" is two ands.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import ahocorasick

from signals.normalise import code_points, fold, halves

__all__ = ["Entity", "Lexicon", "Reading", "Rule", "Word", "kinds", "lexicon"]


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing with a name; ``mask`` is its classes as bits."""

    name: str
    mask: int
    symbols: tuple[str, ...]
    segments: tuple[str, ...]


Reading = tuple[int, int, Entity | None, int, str]
"""Needed classes, excluded classes (0 for "no condition"); entity, classes, relation."""


class Word(NamedTuple):
    """What a surface form means: the classes it brings, and the entity where it names one.

    ``readings`` are tried in order: the first whose surroundings fit.
    """

    surface: str
    readings: tuple[Reading, ...]
    guarded: bool  # starts or ends with an ASCII letter or digit, which must not continue a longer word
    plain: tuple[Entity | None, int, str] | None  # its only reading, where it needs no surroundings


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of ``rules.csv``; class sets as bits."""

    order: int
    name: str
    kind: str
    anchor: int
    needs: tuple[
        tuple[int, bool], ...
    ]  # classes, and whether the sentence before may bring them (^ in the table)
    unless: int
    window: int
    polarity: int
    flips: frozenset[str]
    subject: tuple[int, ...]
    musts: tuple[int, ...]  # the classes no sentence before can bring


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Everything the extractor matches with."""

    words: tuple[Word, ...]  # in the order of the tables
    automaton: Any  # of them, spelt in halves
    bits: dict[str, int]
    rules: tuple[Rule, ...]
    certainty: dict[str, str]  # kind -> certainty where no cue says otherwise

    def mask(self, classes: str) -> int:
        """The bits of ``a|b|c``; an unknown class is a mistake in a table."""
        mask = 0
        for name in classes.replace(" ", "|").split("|"):
            if name:
                mask |= 1 << self.bits[name]
        return mask

    def names(self, mask: int) -> list[str]:
        """The classes of some bits, sorted."""
        return sorted(name for name, bit in self.bits.items() if mask >> bit & 1)


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((files("signals") / "data" / name).read_text("utf-8"))))


@cache
def kinds() -> tuple[dict[str, str], ...]:
    """The table of kinds: kind, polarity, certainty, timeline_type, definition, example."""
    return tuple(_rows("kinds.csv"))


# Classes that come from numbers and patterns (signals/quantities.py), not from the word lists.
_COMPUTED = (
    "num_power", "num_pct", "num_money", "num_energy", "num_count", "num_times", "num_year", "num_ratio",
    "num_bare", "num_magnitude", "num_voltage", "num_rate", "num_bp", "themore", "fromto", "rhetoric",
)  # fmt: skip


@cache
def lexicon() -> Lexicon:
    """The shipped lexicon, built once a process."""
    entity_rows, alias_rows, cue_rows, rule_rows = map(
        _rows, ("entities.csv", "aliases.csv", "cues.csv", "rules.csv")
    )
    names = dict.fromkeys(_COMPUTED)
    names |= dict.fromkeys(tag for row in entity_rows for tag in row["tags"].split())
    names |= dict.fromkeys(tag for row in cue_rows for tag in row["class"].split("|"))
    bits = {name: i for i, name in enumerate(names)}
    empty = Lexicon((), None, bits, (), {})
    entities = {
        row["entity"]: Entity(
            row["entity"],
            empty.mask(row["tags"]),
            tuple(row["symbols"].split()),
            tuple(row["segments"].split()),
        )
        for row in entity_rows
    }
    alias_rows += _universe_names(entities, empty)
    cues: dict[str, int] = {}
    for row in cue_rows:
        for surface in row["surfaces"].split("|"):
            cues[fold(surface)] = cues.get(fold(surface), 0) | empty.mask(row["class"])
    readings: dict[str, list[Reading]] = {}
    for row in alias_rows:
        entity, surface = entities[row["entity"]], fold(row["surface"])
        reading = (
            empty.mask(row["needs"]),
            empty.mask(row["unless"]),
            entity,
            entity.mask | cues.get(surface, 0),
            row["relation"],
        )
        readings.setdefault(surface, []).append(reading)
    for surface, mask in cues.items():
        readings.setdefault(surface, []).append((0, 0, None, mask, "cue"))
    words = []
    for surface, options in readings.items():
        # conditional readings first: the unconditional one is what remains
        options.sort(key=lambda option: not (option[0] or option[1]))
        first = options[0]
        plain = None if first[0] or first[1] else (first[2], first[3], first[4])
        guarded = _ascii(surface[0]) or _ascii(surface[-1])
        words.append(Word(surface, tuple(options), guarded, plain))
    automaton = ahocorasick.Automaton()
    for word in words:
        automaton.add_word(halves(code_points(word.surface)), word)
    automaton.make_automaton()
    rules = tuple(
        Rule(
            order=i,
            name=row["rule"],
            kind=row["kind"],
            anchor=empty.mask(row["anchor"]),
            needs=tuple((empty.mask(g.lstrip("^")), g.startswith("^")) for g in row["needs"].split()),
            unless=empty.mask(row["unless"]),
            window=int(row["window"]),
            polarity=int(row["polarity"]),
            flips=frozenset(row["flips"].split()),
            subject=tuple(1 << bits[name] for name in row["subject"].split()),
            musts=tuple(empty.mask(g) for g in row["needs"].split() if not g.startswith("^")),
        )
        for i, row in enumerate(rule_rows)
    )
    return Lexicon(tuple(words), automaton, bits, rules, {row["kind"]: row["certainty"] for row in kinds()})


def _universe_names(entities: dict[str, Entity], lex: Lexicon) -> list[dict[str, str]]:
    """Companies of the universe tables the entity table lacks, added to ``entities``; their names as aliases."""
    from data_cache.universe import load_universe, universes

    mask = lex.mask("supplier|domestic")
    aliases = []
    for universe in universes():
        for row in load_universe(universe).select("symbol", "name", "segment").iter_rows(named=True):
            if row["name"] not in entities:
                entities[row["name"]] = Entity(row["name"], mask, (row["symbol"],), (row["segment"],))
                aliases.append(
                    {
                        "surface": row["name"],
                        "entity": row["name"],
                        "relation": "name",
                        "needs": "",
                        "unless": "",
                    }
                )
    return aliases


def _ascii(character: str) -> bool:
    return character.isascii() and character.isalnum()
