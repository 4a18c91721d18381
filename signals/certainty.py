"""How sure the text is: fact, forecast, opinion or conditional; and what it denies.

The strongest cue in reach wins, in this order: a condition (如果, 一旦, 越 ... 越), the kind's own nature
(advice is opinion, a risk is conditional), a view of the future, a first person who thinks so; else fact.
A condition reaches to the right, up to three clauses; a view of the future or a first person reaches the
clause it stands in and the two after it.
"""

from __future__ import annotations

from signals.lexicon import Lexicon
from signals.sentences import Clause, Hit

__all__ = ["Certainty", "is_negated"]

_NEAR = 7  # characters between a negation and what it denies: 没有太大的技术壁垒


class Certainty:
    """The cue classes of one lexicon, ready to test clauses with."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.cond = lexicon.mask("cond")
        self.themore = lexicon.mask("themore")
        self.forecast = lexicon.mask("forecast")
        self.opinion = lexicon.mask("opinion")
        self.past = lexicon.mask("past")
        self.defaults = lexicon.certainty

    def of(self, kind: str, clauses: list[Clause], first: int, lo: int, hi: int) -> tuple[str, list[Hit]]:
        """The certainty of an event in ``clauses[lo : hi + 1]`` of a sentence starting at ``first``, and its cues."""
        span = 0
        for c in clauses[lo : hi + 1]:
            span |= c.mask
        if span & self.themore:
            return "conditional", []
        if cues := _cues(clauses, max(first, lo - 3), hi, self.cond):
            return "conditional", cues
        default = self.defaults[kind]
        if default != "fact":
            return default, []
        ahead = _cues(clauses, max(first, lo - 1), hi, self.forecast)
        if ahead and not (span & self.past and all(h.end - h.start == 1 for h in ahead)):
            return "forecast", ahead
        if cues := _cues(clauses, max(first, lo - 2), hi, self.opinion):
            return "opinion", cues
        return "fact", []


def _cues(clauses: list[Clause], lo: int, hi: int, mask: int) -> list[Hit]:
    return [h for c in clauses[lo : hi + 1] if c.mask & mask for h in c.hits if h.mask & mask]


def is_negated(clause: Clause, anchor: Hit, negation: int) -> Hit | None:
    """The negation that denies ``anchor``: shortly before it, or right after it, in its clause."""
    if not clause.mask & negation:
        return None
    for hit in clause.hits:
        if hit.mask & negation and not hit.mask & anchor.mask:
            if 0 <= anchor.start - hit.end <= _NEAR or 0 <= hit.start - anchor.end <= 1:
                return hit
    return None
