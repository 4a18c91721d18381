"""One statement, one event: candidates that speak of the same words, and things said again.

1. ``within_sentence``: candidates of one kind whose clauses overlap or touch become one, unless each brings
   its own amount or its own subject; the first rule in the table gives the name.
2. ``drop_shadowed``: a kind that says the same more precisely hides the vaguer one on the same words.
3. ``each_its_own``: two clauses that can only be two statements, whatever the reader's weights say.
4. ``fold_repeats``: the same kind, subject, sign and amounts in much the same words later in the note is a
   repetition; the first one counts.
"""

from __future__ import annotations

from signals.match import Candidate
from signals.quantities import Quantity
from signals.sentences import Clause, Scan

__all__ = ["drop_shadowed", "each_its_own", "fold_repeats", "within_sentence"]

_HIDES: dict[str, tuple[str, ...]] = {
    "rack_delay": ("chip_delay", "rack_adoption", "rack_ramp", "capacity_or_shipment", "risk"),
    "chip_delay": ("chip_launch", "asic_adoption", "capacity_or_shipment", "risk"),
    "rack_ramp": ("capacity_or_shipment", "rack_adoption", "penetration_view", "chip_launch"),
    "self_promotion": ("penetration_view", "asic_adoption", "recommendation"),
    "supplier_win": ("supplier_position", "capacity_or_shipment", "supplier_share"),
    "gross_margin": ("supplier_position", "earnings"),
    "rack_adoption": ("asic_adoption",),
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
    "chip_launch": ("supplier_certification", "capacity_or_shipment"),
    "rate_hike": ("rate_guidance",),
    "rate_cut": ("rate_guidance",),
    "national_tech_plan": ("investment_commitment",),
}
_SUPPOSED = frozenset({"chip_delay", "export_control"})  # told as what might go wrong, they are the risk
_RUN_ON = frozenset({"risk", "self_promotion", "recommendation"})  # one statement however many names it lists
# told of one firm or part at a time
_BY_NAME = frozenset(
    {"supplier_win", "supplier_certification", "supplier_share", "capacity_or_shipment", "earnings"}
)
# An essay comes back to its topics; they are news once, unless it says something else of them.
_TOPICS = frozenset({"decoupling", "rate_hike", "bank_failure", "national_tech_plan", "ai_launch"})
_SAME_TOPIC = 0.4
_SAME_WORDS, _SAME_PAIRS = 0.5, 0.25  # shares of known words, and of pairs of characters, two tellings share


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
    if new.at == old.at:
        return True
    if new.polarity != old.polarity or new.lo > old.hi + 1:
        return False
    if new.lo <= old.hi or new.rule.kind in _RUN_ON:
        return True
    amounts = bool(_amounts(clauses, old.at, old.at)) and bool(_amounts(clauses, new.at, new.at))
    own = new.subject is not None and not new.carried and new.subject is not old.subject
    by_name = new.rule.kind in _BY_NAME and _other_names(clauses[old.at], clauses[new.at])
    return not amounts and not own and not by_name


def each_its_own(a: Clause, b: Clause) -> bool:
    """Whether two clauses of one kind state it of two things: both name some, none in common, with like amounts."""
    if not a.quantities or not b.quantities:
        return False
    alike = {q.cls for q in _amounts([a], 0, 0)} & {q.cls for q in _amounts([b], 0, 0)}
    return bool(alike) and _other_names(a, b)


def _other_names(a: Clause, b: Clause) -> bool:
    """Whether both name things, and none in common: one firm's win, then another's."""
    before, after = ({h.entity for h in clause.hits if h.entity} for clause in (a, b))
    return bool(before and after) and not before & after


def _amounts(clauses: list[Clause], lo: int, hi: int) -> list[Quantity]:
    return [q for c in clauses[lo : hi + 1] for q in c.quantities if q.cls not in ("num_year", "num_bare")]


def drop_shadowed(found: list[Candidate]) -> list[Candidate]:
    """Without the vaguer kinds where a more precise one speaks of the same clauses."""
    by_sentence: dict[int, list[Candidate]] = {}
    for c in found:
        by_sentence.setdefault(c.sentence, []).append(c)
    kept = []
    for c in found:
        shadow = any(_hides(other, c) for other in by_sentence[c.sentence])
        if not shadow:
            kept.append(c)
    return kept


def _hides(other: Candidate, c: Candidate) -> bool:
    supposed = other.rule.kind == "risk" and c.certainty == "conditional" and c.rule.kind in _SUPPOSED
    if not supposed and c.rule.kind not in _HIDES.get(other.rule.kind, ()):
        return False
    if other.lo <= c.at <= other.hi:
        return True
    # an order won tells its share in the next breath
    pair = (other.rule.kind, c.rule.kind)
    return (
        pair == ("supplier_win", "supplier_share") and c.at == other.hi + 1 and c.certainty == other.certainty
    )


def fold_repeats(found: list[Candidate], scan: Scan) -> list[Candidate]:
    """Things said again, folded into the first telling."""
    told: dict[tuple[object, ...], list[Candidate]] = {}
    sets: dict[tuple[int, int], frozenset[str]] = {}
    kept = []
    spans: set[tuple[str, int, int]] = set()
    for c in sorted(found, key=lambda c: (c.lo, c.hi, c.rule.order)):
        if (c.rule.kind, c.lo, c.hi) in spans:
            continue  # one kind is told once by the same words
        spans.add((c.rule.kind, c.lo, c.hi))
        amounts = tuple((q.low, q.high) for q in _amounts(scan.clauses, c.lo, c.hi))
        subject = c.subject.name if c.subject and not (amounts and c.rule.kind == "market_size") else None
        alike = told.setdefault((c.rule.kind, subject, c.polarity, c.certainty, amounts), [])
        for first in alike:
            if amounts or _says_again(first, c, scan, sets):
                first.repeats.append((c.lo, c.hi))
                break
        else:
            alike.append(c)
            kept.append(c)
    return kept


def _says_again(
    first: Candidate, c: Candidate, scan: Scan, sets: dict[tuple[int, int], frozenset[str]]
) -> bool:
    words, words_ = _words(first, scan, sets), _words(c, scan, sets)
    common = _alike(words, words_)
    if c.rule.kind in _TOPICS:
        return common >= _SAME_TOPIC
    return common >= _SAME_WORDS and _alike(_pairs(first, scan), _pairs(c, scan)) >= _SAME_PAIRS


def _words(c: Candidate, scan: Scan, sets: dict[tuple[int, int], frozenset[str]]) -> frozenset[str]:
    """The known words of a candidate's clauses."""
    if (c.lo, c.hi) not in sets:
        text = scan.squeezed.text
        sets[c.lo, c.hi] = frozenset(
            text[h.start : h.end] for k in scan.clauses[c.lo : c.hi + 1] for h in k.hits
        )
    return sets[c.lo, c.hi]


def _pairs(c: Candidate, scan: Scan) -> frozenset[str]:
    """The pairs of neighbouring characters of a candidate's clauses."""
    text, said = scan.squeezed.text, scan.clauses[c.lo : c.hi + 1]
    return frozenset(text[i : i + 2] for k in said for i in range(k.start, k.end - 1))


def _alike(a: frozenset[str], b: frozenset[str]) -> float:
    """The Jaccard index: 1 for the same sets, 0 for sets with nothing in common."""
    return len(a & b) / max(1, len(a | b))
