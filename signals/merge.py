"""One statement, one event: candidates that speak of the same words, and things said again.

1. ``within_sentence``: candidates of one kind whose clauses overlap or touch become one, unless each brings
   its own amount or its own subject; the first rule in the table gives the name.
2. ``drop_shadowed``: a kind that says the same more precisely hides the vaguer one on the same words.
3. ``repeats``: the same kind, subject, sign and amounts in much the same words later in the note is a
   repetition; the first one counts.
"""

from __future__ import annotations

from signals.match import Candidate
from signals.quantities import Quantity
from signals.sentences import Clause, Scan

__all__ = ["drop_shadowed", "fold_repeats", "within_sentence"]

_HIDES: dict[str, tuple[str, ...]] = {
    "rack_delay": ("chip_delay", "rack_adoption", "rack_ramp", "capacity_or_shipment", "risk"),
    "chip_delay": ("chip_launch", "asic_adoption", "capacity_or_shipment", "risk"),
    "rack_ramp": ("capacity_or_shipment", "rack_adoption", "penetration_view", "chip_launch"),
    "self_promotion": ("penetration_view", "asic_adoption", "recommendation"),
    "supplier_win": ("supplier_position", "capacity_or_shipment", "supplier_share"),
    "gross_margin": ("supplier_position", "earnings"),
    "asic_adoption": ("capacity_or_shipment",),
    "risk": (
        "earnings",
        "capex_guidance",
        "capacity_or_shipment",
        "supplier_share",
        "supplier_win",
        "penetration_view",
        "market_size",
    ),
    "value_share": ("penetration_view", "supplier_share"),
    "recommendation": ("supplier_position",),
    "barrier": ("supplier_position", "supplier_win"),
    "market_size": ("penetration_view",),
    "supplier_certification": ("supplier_win", "supplier_position"),
    "rate_hike": ("rate_guidance",),
    "national_tech_plan": ("investment_commitment",),
}
_RUN_ON = frozenset({"risk", "self_promotion", "recommendation"})  # one statement however many names it lists


def within_sentence(found: list[Candidate], clauses: list[Clause]) -> list[Candidate]:
    """Candidates of one kind that are one statement, as one."""
    kept: list[Candidate] = []
    open_: dict[str, Candidate] = {}
    for new in sorted(found, key=lambda c: (c.sentence, c.rule.kind, c.lo, c.hi, c.rule.order)):
        old = open_.get(new.rule.kind)
        if old is not None and old.sentence == new.sentence and _one_statement(old, new, clauses):
            old.hi = max(old.hi, new.hi)
            old.cues.extend(new.cues)
            if old.polarity != new.polarity and new.rule.order < old.rule.order:
                old.polarity = new.polarity
            if old.subject is None or (old.carried and not new.carried):
                old.subject, old.carried = new.subject, new.carried
            if new.rule.order < old.rule.order:
                old.rule = new.rule
            continue
        open_[new.rule.kind] = new
        kept.append(new)
    return kept


def _one_statement(old: Candidate, new: Candidate, clauses: list[Clause]) -> bool:
    if new.lo <= old.hi:
        return True
    if new.lo > old.hi + 1 or new.polarity != old.polarity:
        return False
    amounts = bool(_amounts(clauses, old.lo, old.hi)) and bool(_amounts(clauses, new.lo, new.hi))
    if new.rule.kind in _RUN_ON:
        return True
    own = new.subject is not None and not new.carried and new.subject is not old.subject
    return not amounts and not own


def _amounts(clauses: list[Clause], lo: int, hi: int) -> list[Quantity]:
    return [q for c in clauses[lo : hi + 1] for q in c.quantities if q.cls not in ("num_year", "num_bare")]


def drop_shadowed(found: list[Candidate]) -> list[Candidate]:
    """Without the vaguer kinds where a more precise one speaks of the same clauses."""
    by_sentence: dict[int, list[Candidate]] = {}
    for c in found:
        by_sentence.setdefault(c.sentence, []).append(c)
    kept = []
    for c in found:
        shadow = any(
            c.rule.kind in _HIDES.get(other.rule.kind, ())
            and other.lo - _reach(other, c) <= c.hi
            and c.lo <= other.hi + _reach(other, c)
            for other in by_sentence[c.sentence]
        )
        if not shadow:
            kept.append(c)
    return kept


def _reach(other: Candidate, c: Candidate) -> int:
    """Clauses beyond its own that a kind hides: an order won tells its share in the next breath."""
    return 1 if (other.rule.kind, c.rule.kind) == ("supplier_win", "supplier_share") else 0


def fold_repeats(found: list[Candidate], scan: Scan) -> list[Candidate]:
    """Things said again, folded into the first telling."""
    told: dict[tuple[object, ...], list[tuple[Candidate, frozenset[str]]]] = {}
    kept = []
    for c in sorted(found, key=lambda c: (c.lo, c.hi, c.rule.order)):
        amounts = tuple((q.low, q.high) for q in _amounts(scan.clauses, c.lo, c.hi))
        subject = c.subject.name if c.subject and not (amounts and c.rule.kind == "market_size") else None
        key = (c.rule.kind, subject, c.polarity, c.certainty, amounts)
        words = frozenset(
            scan.squeezed.text[h.start : h.end] for k in scan.clauses[c.lo : c.hi + 1] for h in k.hits
        )
        for first, said in told.setdefault(key, []):
            if amounts or len(words & said) > 0.6 * max(1, len(words | said)):
                first.repeats.append((c.lo, c.hi))
                break
        else:
            told[key].append((c, words))
            kept.append(c)
    return kept
