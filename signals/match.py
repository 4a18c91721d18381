"""Rules met by clauses: from words to candidate events.

1. Each word that anchors a rule opens a window of clauses inside its sentence.
2. ``_window`` widens it, nearest clause first, until every class the rule needs is in it; a class in
   ``unless`` anywhere in the window ends it.
3. ``subject_of`` names what the event is about: in the window, else earlier in the sentence, else in the
   sentence before.
4. ``_polarity`` turns the rule's sign over for a denial, a fall, air in place of liquid, a rival's gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from signals.certainty import Certainty, is_negated
from signals.lexicon import Entity, Lexicon, Rule, lexicon
from signals.sentences import Clause, Hit, Scan

__all__ = ["Candidate", "candidates", "subject_of"]


@dataclass(slots=True, eq=False)
class Candidate:
    """A rule met in ``clauses[lo : hi + 1]``."""

    rule: Rule
    sentence: int
    at: int  # the clause of the anchor
    lo: int
    hi: int
    anchor: Hit
    cues: list[Hit]
    subject: Entity | None
    carried: bool  # the subject comes from before the window
    polarity: int
    certainty: str
    denied: bool = False  # the text unsays it: a delay that did not happen
    likely: float | None = None  # the chance signals.reader gives it; None where it does not know the kind
    borne_by: str = "rule"  # or "model": what its polarity and certainty are read by
    odds: Any = None  # (clauses, 2 + 2K) what signals.model makes of each of its clauses by itself
    repeats: list[tuple[int, int]] = field(default_factory=list)  # clause windows that say it again


class _Masks:
    def __init__(self, lex: Lexicon) -> None:
        self.lex = lex
        self.certainty = Certainty(lex)
        self.neg = lex.mask("neg")
        self.negfar = lex.mask("negfar")
        self.rhetoric = lex.mask("rhetoric")
        self.challenge = lex.mask("challenge")
        self.outweigh = lex.mask("outweigh")
        self.down = lex.mask("down|slow")
        self.low = lex.mask("low")
        self.up = lex.mask("up")
        self.delay = lex.mask("delay")
        self.lax = lex.mask("lax")
        self.own = lex.mask("firmword|me")
        self.serverco = lex.mask("serverco")
        self.riskhead = lex.mask("riskhead")
        self.past = lex.mask("past")
        self.air = lex.mask("air")
        self.liquid = lex.mask("liquid")
        self.mixed = lex.mask("mixed")
        self.domestic = lex.mask("domestic")
        self.rival = lex.mask("rival|taiwan|foreign")
        self.named_rival = lex.mask("rival|taiwan")
        self.relief = lex.mask("relief")
        # what a figure in the next clause may come with and still belong to this one
        self.soft = lex.mask(
            "up|down|low|high|slow|faster|past|forecast|maybe|hedge|half|neg|negfar|ignored|opinion|foreign|domestic"
        )
        self.question = lex.mask("question")
        self.numbers = lex.mask("num_pct|num_money|num_count|num_power|num_bare|half")
        self.bare = lex.mask("num_bare")
        self.figures = lex.mask("num_pct|num_money|num_bare")
        self.anchors = 0
        for rule in lex.rules:
            self.anchors |= rule.anchor


_SERIES = frozenset({"gross_margin", "supplier_share", "earnings", "capex_guidance"})


@cache
def _masks() -> _Masks:
    return _Masks(lexicon())


@cache
def _rules_for(mask: int) -> tuple[Rule, ...]:
    return tuple(rule for rule in lexicon().rules if rule.anchor & mask)


def candidates(found: Scan, year: int) -> list[Candidate]:
    """Every rule met or denied, in order of place; several may speak of the same words. ``year`` is the note's."""
    masks = _masks()
    out: list[Candidate] = []
    for number, (first, end, paragraph, asks) in enumerate(found.sentences):
        stop = end
        if asks:
            if stop - first < 3 or paragraph < 0:
                continue
            stop -= 1  # what leads up to a question is said, not asked
        clauses = found.clauses
        whole = 0
        for c in clauses[first:stop]:
            whole |= c.mask
        if whole & masks.question or not whole & masks.anchors:
            continue
        # 风险提示: what such a list names has not happened, unless it says that it has
        warned = bool(whole & masks.riskhead) and any(
            c.mask & masks.riskhead for c in clauses[first : min(first + 2, stop)]
        )
        for i in range(first, stop):
            clause = clauses[i]
            mask = clause.mask
            if not mask & masks.anchors:
                continue
            met: set[int] = set()
            only_risk = warned and not mask & masks.past
            for hit in clause.hits:
                anchored = hit.mask & masks.anchors
                if not anchored:
                    continue
                for rule in _rules_for(anchored):
                    if rule.order in met or mask & rule.unless or (only_risk and rule.kind != "risk"):
                        continue
                    if not _may_meet(rule, whole if rule.window else mask):
                        continue
                    if made := _meet(rule, hit, i, first, stop, number, found, masks, year):
                        met.add(rule.order)
                        out.append(made)
            for quantity in clause.quantities:
                for rule in _rules_for(1 << masks.lex.bits[quantity.cls]):
                    if rule.order in met or mask & rule.unless or only_risk:
                        continue
                    if _may_meet(rule, whole if rule.window else mask):
                        hit = Hit(quantity.start, quantity.end, 0, None, "number")
                        if made := _meet(rule, hit, i, first, stop, number, found, masks, year):
                            met.add(rule.order)
                            out.append(made)
    return out


def _may_meet(rule: Rule, reach: int) -> bool:
    """Whether what the rule needs is within ``reach`` at all; spares most rules the search of a window."""
    for group in rule.musts:  # noqa: SIM110 - a generator doubles the cost of the innermost loop
        if not reach & group:
            return False
    return True


def _meet(
    rule: Rule, anchor: Hit, i: int, first: int, stop: int, number: int, found: Scan, masks: _Masks, year: int
) -> Candidate | None:
    clauses = found.clauses
    window = _window(rule, i, first, stop, number, found, masks.numbers)
    if window is None:
        return None
    lo, hi, mask = window
    if hi == i and rule.kind in _SERIES and mask & masks.numbers and hi + 1 < stop:
        following = clauses[hi + 1]
        if (
            following.mask & (masks.figures & mask | masks.bare)
            and not following.mask & masks.anchors & ~masks.soft & ~masks.numbers
        ):
            hi += 1  # 去年三十五个点,今年只剩二十六: one statement
            mask |= following.mask
    subject, carried = subject_of(rule, lo, hi, first, found)
    denied = is_negated(clauses[i], anchor, masks.neg, masks.negfar, masks.rhetoric)
    polarity, cues = _polarity(rule, mask, subject, carried, denied, lo, hi, clauses, masks)
    certainty, sure = masks.certainty.of(rule.kind, clauses, first, lo, hi, year)
    words = [anchor, *cues, *sure]
    return Candidate(
        rule, number, i, lo, hi, anchor, words, subject, carried, polarity or 0, certainty, polarity is None
    )


_ORDER = ((-1, 1, -2, 2, -3, 3), (1, -1, 2, -2, 3, -3))


def _window(
    rule: Rule, i: int, first: int, stop: int, number: int, found: Scan, numbers: int
) -> tuple[int, int, int] | None:
    clauses = found.clauses
    lo = hi = i
    mask = clauses[i].mask
    for group, carried in rule.needs:
        if mask & group:
            continue
        # an amount follows what it measures; everything else is rather said before
        for d in _ORDER[bool(group & numbers)][: 2 * rule.window]:
            if first <= i + d < stop and clauses[i + d].mask & group:
                lo, hi = min(lo, i + d), max(hi, i + d)
                break
        else:
            if carried and _spoken_of(group, lo, first, number, found):
                continue
            return None
        mask = 0
        for c in clauses[lo : hi + 1]:
            mask |= c.mask
    return None if mask & rule.unless else (lo, hi, mask)


def _spoken_of(group: int, lo: int, first: int, number: int, found: Scan) -> bool:
    """Whether the talk is of ``group``: earlier in the sentence, or in the one before in its paragraph."""
    if any(c.mask & group for c in found.clauses[first:lo]):
        return True
    return any(c.mask & group for c in _before(number, found))


def _before(number: int, found: Scan) -> list[Clause]:
    """The clauses of the three sentences before, as far as they are in the same paragraph."""
    paragraph = found.sentences[number][2]
    from_ = number
    while from_ and number - from_ < 3 and found.sentences[from_ - 1][2] == paragraph:
        from_ -= 1
    return found.clauses[found.sentences[from_][0] : found.sentences[number][0]]


def subject_of(rule: Rule, lo: int, hi: int, first: int, found: Scan) -> tuple[Entity | None, bool]:
    """What an event in ``clauses[lo : hi + 1]`` is about, and whether that was named before them."""
    clauses = found.clauses
    wanted = mask = 0
    for c in clauses[lo : hi + 1]:
        mask |= c.mask
    for bit in rule.subject:
        wanted |= bit
        if mask & bit and (entity := _named(clauses, lo, hi, bit)):
            return entity, False
    if not wanted:
        return None, False
    for i in range(lo - 1, first - 1, -1):
        if clauses[i].mask & wanted and (entity := _named(clauses, i, i, wanted)):
            return entity, True
    for clause in reversed(_before(clauses[lo].sentence, found)):
        if clause.mask & wanted and (entity := _named([clause], 0, 0, wanted)):
            return entity, True
    return None, False


def _named(clauses: list[Clause], lo: int, hi: int, mask: int) -> Entity | None:
    for c in clauses[lo : hi + 1]:
        if c.mask & mask:
            for hit in c.hits:
                if hit.entity and hit.mask & mask:
                    return hit.entity
    return None


def _polarity(
    rule: Rule,
    mask: int,
    subject: Entity | None,
    carried: bool,
    denied: Hit | None,
    lo: int,
    hi: int,
    clauses: list[Clause],
    masks: _Masks,
) -> tuple[int | None, list[Hit]]:
    """The sign of the event, or None where a denial unsays it (a delay that did not happen)."""
    sign, flips = rule.polarity, rule.flips
    cues: list[Hit] = []
    if "air" in flips and mask & masks.air:
        if mask & masks.mixed:
            return 0, cues
        if denied or not mask & masks.liquid:
            return -1, cues
        return sign, cues
    if "chance" in flips and mask & masks.challenge and not mask & masks.outweigh:
        return 0, cues
    if denied and "neg" in flips:
        if rule.polarity < 0 and rule.kind not in ("supplier_position",):
            return None, cues
        sign = -sign
        cues.append(denied)
    falls = (("down", masks.down), ("low", masks.low if not mask & masks.up else 0), ("delay", masks.delay))
    for name, bits in falls:  # 从一成不到爬到两成五 rises
        if name in flips and mask & bits:
            cues += [h for c in clauses[lo : hi + 1] for h in c.hits if h.mask & bits]
            sign = -abs(sign) if not (denied and "neg" in flips) else abs(sign)
            break
    if ("relief" in flips and mask & masks.relief) or ("falls" in flips and mask & masks.down):
        sign = abs(sign)
    if "lax" in flips and mask & masks.lax:
        sign = -abs(sign)
    if "rival" in flips:
        # 海外订单 is where the order comes from, not who won it: a place counts only as the subject
        # and a rival named before does not win what 公司 wins now
        ours = carried and (mask & masks.own or (subject and subject.mask & masks.serverco))
        mine = not ours and (subject.mask & masks.rival if subject else mask & masks.named_rival)
        if mine and not (subject.mask if subject else mask) & masks.domestic:
            sign = -sign
    return sign, cues
