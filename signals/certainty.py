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

_NEAR = 7  # characters from 不 to what it denies
_FAR = 20  # and from 没有
# 大概率是40% is a level told with a hedge, no view of the future
_LEVELS = frozenset({"value_share", "gross_margin", "supplier_share", "power_threshold"})


class Certainty:
    """The cue classes of one lexicon, ready to test clauses with."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.cond = lexicon.mask("cond")
        self.themore = lexicon.mask("themore")
        self.forecast = lexicon.mask("forecast")
        self.maybe = lexicon.mask("maybe")
        self.opinion = lexicon.mask("opinion")
        self.years = lexicon.mask("num_year")
        self.past = lexicon.mask("past")
        self.defaults = lexicon.certainty

    def of(
        self, kind: str, clauses: list[Clause], first: int, lo: int, hi: int, year: int
    ) -> tuple[str, list[Hit]]:
        """The certainty of an event in ``clauses[lo : hi + 1]`` of a sentence starting at ``first``, and its cues."""
        default = self.defaults[kind]
        if default != "fact":
            return default, []
        span = 0
        for c in clauses[lo : hi + 1]:
            span |= c.mask
        if span & self.themore:
            return "conditional", []
        if cues := _cues(clauses, max(first, lo - 3), hi, self.cond):
            return "conditional", cues
        if cues := _cues(clauses, max(first, lo - 1), hi, self.forecast):
            return "forecast", cues
        if span & self.years and any(
            q.cls == "num_year" and q.low is not None and year < q.low < year + 100
            for c in clauses[lo : hi + 1]
            for q in c.quantities
        ):
            return "forecast", []
        if kind not in _LEVELS and not span & self.past and (cues := _cues(clauses, lo, hi, self.maybe)):
            return "forecast", cues
        if cues := _cues(clauses, max(first, lo - 2), hi, self.opinion):
            return "opinion", cues
        return "fact", []


def _cues(clauses: list[Clause], lo: int, hi: int, mask: int) -> list[Hit]:
    for c in clauses[lo : hi + 1]:
        if c.mask & mask:
            return [h for c in clauses[lo : hi + 1] for h in c.hits if h.mask & mask]
    return []


def is_negated(clause: Clause, anchor: Hit, near: int, far: int, rhetoric: int) -> Hit | None:
    """The negation that denies ``anchor`` in its clause.

    没有 and 未 reach to the end of the clause, 不 a few characters on; both also deny what they follow at once
    (认证没有通过). 不是 ... 吗 affirms.
    """
    if not clause.mask & (near | far):
        return None
    for hit in clause.hits:
        if not hit.mask & (near | far) or hit.mask & anchor.mask:
            continue
        reach = _FAR if hit.mask & far else _NEAR
        if 0 <= anchor.start - hit.end <= reach or 0 <= hit.start - anchor.end <= 3:
            if hit.mask & near and clause.mask & rhetoric:
                continue
            return hit
    return None
