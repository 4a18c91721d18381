"""The strategies by the names the command line knows them by, and how to make one from text."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from data_cache.errors import UnknownName, UsageError
from strategies.asic_adoption_drift import AsicAdoptionDrift
from strategies.book import field_types, needed
from strategies.buy_and_hold import BuyAndHold
from strategies.leader_satellites import LeaderSatellites
from strategies.macro_overlay import MacroOverlay
from strategies.momentum import Momentum
from strategies.rack_delay_exit import RackDelayExit
from strategies.value_chain_tilt import ValueChainTilt

__all__ = ["ALL", "Strategy", "as_strategy", "describe", "make"]


class Strategy(Protocol):
    """A frozen dataclass whose fields are its parameters; see docs/design.md for the contract."""

    @property
    def kinds(self) -> Sequence[str]:
        """The event kinds it reads from the panel."""
        ...

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The books it wants: date, symbol, weight."""
        ...


ALL: dict[str, type[Any]] = {
    "asic-drift": AsicAdoptionDrift,
    "rack-delay-exit": RackDelayExit,
    "leader-satellites": LeaderSatellites,
    "value-chain": ValueChainTilt,
    "macro-overlay": MacroOverlay,
    "buy-and-hold": BuyAndHold,
    "momentum": Momentum,
}


def make(name: str, params: Mapping[str, str] | None = None) -> Strategy:
    """A strategy from text.

    Args:
        name: a key of ``ALL``.
        params: parameter to value, as typed on a command line.

    Raises:
        UnknownName: no such strategy or parameter; the nearest is suggested.
        UsageError: a value that is not of the parameter's type, or out of its bounds.

    >>> make("momentum", {"top": "3"})
    Momentum(lookback=60, skip=5, top=3, min_history=20)
    """
    if name not in ALL:
        raise UnknownName("strategy", name, ALL)
    types_ = field_types(ALL[name])
    for given in params or {}:
        if given not in types_:
            raise UnknownName(f"parameter of {name}", given, types_)
    values = {given: _value(given, text, types_[given]) for given, text in (params or {}).items()}
    made: Strategy = ALL[name](**values)
    return made


def as_strategy(given: Strategy | str) -> Strategy:
    """A strategy from what a caller gave: one of his own, or a name of ``ALL``.

    Raises:
        UnknownName: no strategy of this name; the nearest is suggested.
        UsageError: no strategy at all, or one that breaks the contract of docs/design.md; says which part.
    """
    if isinstance(given, str):
        return make(given)
    if isinstance(given, type):
        raise UsageError(f"{given.__name__} is a class; give one of it, {given.__name__}()")
    name, kinds = type(given).__name__, getattr(given, "kinds", None)
    if not callable(getattr(given, "targets", None)):
        raise UsageError(
            f"{name} is no strategy: it has no targets(panel); give one, or a name: {', '.join(ALL)}"
        )
    if not dataclasses.is_dataclass(given):
        raise UsageError(
            f"{name} is no dataclass; write @dataclass(frozen=True) above it: its fields are its parameters"
        )
    if not isinstance(kinds, (tuple, list)):
        raise UsageError(
            f"{name}.kinds is {kinds!r}; needs a tuple of the event kinds it reads, "
            "kinds: ClassVar[tuple[str, ...]] = ('rack_ramp',), or () for none"
        )
    return given


def describe(name: str) -> dict[str, Any]:
    """What the docstring of a strategy says: name, class, claim, source, refuted_if, method, kinds, parameters.

    Each parameter is a dict of name, type, default and text.
    """
    cls = ALL[name]
    doc = (inspect.getdoc(cls) or "").replace("``", "")
    paragraphs = [" ".join(p.split()) for p in doc.split("\n\n")]
    by_label = {label: text for p in paragraphs for label, _, text in [p.partition(": ")]}
    texts = _argument_texts(doc)
    types_ = field_types(cls)
    return {
        "name": name,
        "class": cls.__name__,
        "claim": paragraphs[0],
        "source": by_label["From"],
        "refuted_if": by_label["Refuted if"],
        "method": paragraphs[3] if len(paragraphs) > 4 else "",
        "kinds": list(cls.kinds),
        "parameters": [
            {
                "name": field.name,
                "type": _base(types_[field.name]).__name__,
                "default": field.default,
                "text": texts[field.name],
            }
            for field in dataclasses.fields(cls)
        ],
    }


def _base(hint: Any) -> type[Any]:
    """``str`` of ``str | None``."""
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    base: type[Any] = hint
    return base


def _value(name: str, text: str, hint: Any) -> Any:
    base, raw = _base(hint), text.strip()
    if isinstance(hint, types.UnionType) and raw.lower() in ("none", ""):
        return None
    if base is bool:
        if raw.lower() in ("true", "yes", "1", "on"):
            return True
        if raw.lower() in ("false", "no", "0", "off"):
            return False
        raise UsageError(f"{name} is {text!r}; needs {needed(bool)}")
    try:
        return base(raw)
    except ValueError:
        raise UsageError(f"{name} is {text!r}; needs {needed(base)}") from None


def _argument_texts(doc: str) -> dict[str, str]:
    """The lines of a Google ``Args:`` section by name, continuation lines joined."""
    section = doc.partition("Args:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}
