"""What one refresh did, said for a person, for a monitor and by its exit code."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from data_cache.errors import AshareError, IntegrityError, Partial, ProvidersFailed

__all__ = ["Report"]


@dataclass(slots=True)
class Report:
    """One run, filled in as it goes.

    Args:
        started_at: when it began (aware).
        finished_at: when it ended.
        through: the last session asked for; None where nothing was due.
        provisional: whether that session was still open, so that its bars count as unconfirmed.
        symbols: how many the run is about.
        due: of these, how many had bars to ask for.
        sources: symbols by the provider that gave their bars.
        rows: bars inserted, revised, confirmed, unchanged, suspended; and rows of any table rejected.
        not_got: symbols whose bars could not be had, with every provider's word.
        tables: other things not got (``factors 002837.SZ``, ``names SZ``), with the reason.
        gaps: symbols with sessions that have neither a bar nor a known suspension.
        doubts: ex-dates on which factors and dividends disagree; stored all the same.
        made_up: bars of Sina's on days that were no sessions, left out.
        ended: providers given up for this run, with the reason.
        answered: whether any provider of bars answered at all, be it with "unknown".
        resolved: whether any vendor's name was resolved; where none was, there is no network.
        requests: HTTP requests made.
        interrupted: whether a person stopped it.
    """

    started_at: dt.datetime
    finished_at: dt.datetime
    symbols: int
    through: dt.date | None = None
    provisional: bool = False
    due: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    not_got: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    made_up: int = 0
    ended: dict[str, str] = field(default_factory=dict)
    answered: bool = False
    resolved: bool = False
    requests: int = 0
    interrupted: bool = False

    @property
    def got(self) -> int:
        """Symbols whose bars were answered for."""
        return sum(self.sources.values())

    @property
    def offline(self) -> bool:
        """Whether something was asked and every failure was a name that could not be resolved."""
        return not self.resolved and bool(self.not_got or self.tables)

    @property
    def code(self) -> int:
        """0 done, 3 something not got, 4 no provider answered, 5 rows quarantined, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.due and not self.answered:
            return 4
        if self.rows.get("rejected"):
            return 5
        return 3 if self.not_got or self.tables or self.gaps else 0

    def error(self) -> AshareError | None:
        """The failure the command ends with; None where all went well."""
        kinds = {3: Partial, 4: ProvidersFailed, 5: IntegrityError}
        kind = kinds.get(self.code)
        remedy = _OFFLINE if self.offline else _REMEDY.get(self.code)
        return kind(f"{self.summary()}{remedy}") if kind else None

    def summary(self) -> str:
        """What was done and what was not, in a few lines."""
        if self.through is None:
            return f"nothing to do: all {self.symbols} symbols were asked for after the last session closed"
        got = ", ".join(f"{count} from {name}" for name, count in self.sources.items()) or "none"
        rows = ", ".join(f"{n} {what}" for what, n in self.rows.items() if n) or "no rows"
        day = f"{self.through}{' (still open: provisional)' if self.provisional else ''}"
        stopped = "interrupted: what was stored stays; run the same command again for the rest\n"
        lines = [stopped] if self.interrupted else []
        lines += [f"through {day}: bars of {self.got} of {self.due} symbols due ({got}); {rows}"]
        lines += [f"{name} was given up for this run: {why}" for name, why in self.ended.items()]
        if not self.offline:  # else it is all of them, each for the same reason
            lines += _some("not got", self.not_got)
            lines += _some("not got", self.tables)
        lines += _some("no bar and no known suspension", self.gaps)
        lines += [f"doubt: {text}" for text in self.doubts[:_SHOWN]]
        if len(self.doubts) > _SHOWN:
            lines.append(f"... and {len(self.doubts) - _SHOWN} more doubts (--json has them all)")
        return "\n".join(line.rstrip() for line in lines)

    def document(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {
            "code": self.code,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "through": self.through.isoformat() if self.through else None,
            "provisional": self.provisional,
            "symbols": self.symbols,
            "due": self.due,
            "got": self.got,
            "sources": self.sources,
            "rows": self.rows,
            "not_got": self.not_got,
            "tables": self.tables,
            "gaps": self.gaps,
            "doubts": self.doubts,
            "made_up": self.made_up,
            "ended": self.ended,
            "requests": self.requests,
        }


_SHOWN = 5
_OFFLINE = (
    "\nno vendor's name could be resolved: there is no network; connect, then run the same command again"
)
_REMEDY = {
    3: "\nwhat was got is stored; run the same command again later for the rest",
    4: "\nno provider answered and the bars are as they were; wait some hours (a ban passes by itself), then again",
    5: "\nrows that break a rule were set aside and are not used: see `ashare status --rejected`",
}


def _some(what: str, found: dict[str, str]) -> list[str]:
    lines = [f"{what}: {key}: {why}" for key, why in list(found.items())[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"... and {len(found) - _SHOWN} more (--json has them all)")
    return lines
