"""Notes become events: offline, the same every time, each one explained.

1. ``signals.sentences.scan``      cut the text into sentences and clauses and read the words (one automaton pass)
2. ``signals.match.candidates``    rules met by the classes in a window of clauses
3. ``signals.reader``              what notes of our own taught: events told in other words, and rules met in vain
4. ``signals.merge``               one statement, one event; repetitions folded into the first telling
5. ``_row``                        subject, companies to symbols, links of the chain, amounts, time
6. ``signals.review``              a reviewer's corrections beside the note, which win

``extract`` gives the events; ``explain`` gives, for the same events, the rule and the words that made each.
"""

from __future__ import annotations

import datetime as dt
import gc
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from data_cache.schemas import Events
from signals.event_time import occurred_on
from signals.lexicon import Lexicon, lexicon
from signals.match import Candidate, candidates
from signals.merge import drop_shadowed, fold_repeats, within_sentence
from signals.reader import LEARNED, by_its_words, read, weighty_words
from signals.review import apply_review, has_review, read_review, review_path
from signals.sentences import Hit, Scan, scan

if TYPE_CHECKING:
    from signals.note import Note

__all__ = ["EXTRACTOR", "attributes", "explain", "extract", "extract_all"]

EXTRACTOR = "reader:7"
"""Named in every event; the number rises when tables, weights or code change what a note gives."""

# What an amount measures, by the kind of event and the class of the number; else the class's own name.
_QUANTITY = {
    ("value_share", "num_pct"): "value_share",
    ("value_share", "num_money"): "value",
    ("gross_margin", "num_pct"): "gross_margin",
    ("gross_margin", "num_bare"): "gross_margin",
    ("supplier_share", "num_pct"): "supplier_share",
    ("penetration_view", "num_pct"): "penetration",
    ("market_size", "num_money"): "market_size",
    ("market_size", "num_magnitude"): "market_size",
    ("policy_pue", "num_ratio"): "pue",
    ("investment_commitment", "num_money"): "investment",
    ("capex_guidance", "num_money"): "capex",
    ("capex_guidance", "num_pct"): "change",
    ("earnings", "num_pct"): "change",
    ("earnings", "num_money"): "earnings",
    ("capacity_or_shipment", "num_count"): "units",
    ("chip_demand", "num_count"): "units",
    ("rate_hike", "num_bp"): "rate_change",
    ("rate_cut", "num_bp"): "rate_change",
}
_NAMES = {
    "num_power": "power", "num_pct": "share", "num_money": "money", "num_energy": "energy", "num_count": "count",
    "num_times": "multiple", "num_rate": "rate", "num_bp": "rate_change", "num_voltage": "voltage",
}  # fmt: skip
_BARE = {"gross_margin": ("fraction", 0.01)}  # 毛利率三四十 is in per cent, though nobody says so
_OF_A_FIRM = frozenset({
    "supplier_share", "supplier_certification", "supplier_win", "supplier_position", "earnings", "recommendation",
})  # fmt: skip
_CHANGE = re.compile(
    r"(?<![至最不])(?:[高低贵多少]|便宜|[上下]?[涨降跌滑调]|增长?|增加|提[升高]|回[升落]|减少?|缩|掉|砍)(?:[了出掉去]|幅)?"
    r"(?:大约|大概|差不多|将近|接近|至少|约|近|超)?$"
)
"""What stands before an amount that says by how much something changed or differs, not how much it is."""
_DEMAND = frozenset({
    "power_threshold", "penetration_view", "asic_adoption", "rack_adoption", "rack_delay", "rack_ramp",
    "chip_delay", "chip_launch", "chip_demand", "capex_guidance", "policy_pue", "ai_launch",
    "export_control", "tariff", "decoupling", "market_size",
})  # fmt: skip


def extract(
    note: Note, *, calendar: pl.Series | None = None, ingested_at: dt.datetime | None = None
) -> pl.DataFrame:
    """The events a note tells.

    Args:
        note: from ``read_note``.
        calendar: not needed by the rules; part of the contract so that an extractor may count sessions.
        ingested_at: when this was read; default now. Everything else depends on the note and the tables alone.

    Returns:
        Events, in the order of the note; ``source`` is the note's id, spans count characters of ``note.text``.
    """
    del calendar
    return extract_all([note], ingested_at=ingested_at)


def extract_all(notes: Iterable[Note], *, ingested_at: dt.datetime | None = None) -> pl.DataFrame:
    """The events of several notes in one frame; see ``extract``."""
    lex, now = lexicon(), ingested_at or dt.datetime.now(dt.UTC)
    rows: list[tuple[Any, ...]] = []
    reviewed: list[Note] = []
    for note in notes:
        with _uncollected():
            rows.extend(_rows(note, lex, now))
        if has_review(note):
            reviewed.append(note)
    events = _frame(rows)
    for note in reviewed:
        events = apply_review(events, note, read_review(review_path(note)), now)
    return Events.validate(events)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for objects that refer to one another.

    A note makes many objects and none such, and nearly all are gone with it; finding that out took a tenth of the time.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def attributes(text: str, kind: str) -> dict[str, Any]:
    """What the tables read in a quoted span: symbols, segments and magnitudes; for extractors other than rules."""
    lex = lexicon()
    found = scan(text, lex)
    rule = next((r for r in lex.rules if r.kind == kind), lex.rules[0])
    whole = Candidate(
        rule, 0, 0, 0, len(found.clauses) - 1, Hit(0, 1, 0, None, "quote"), [], None, False, 0, "fact"
    )
    symbols, segments = _reach(whole, found, lex)
    return {"symbols": symbols, "segments": segments, "magnitudes": _magnitudes(whole, found)}


def explain(note: Note) -> pl.DataFrame:
    """Why each event of a note was found.

    Returns:
        event_id, kind, rule (``learned`` where none met), likely (the chance the model gives it, null for a kind it
        does not know), by_its_words (the same without what is said around it), borne_by (``rule`` or ``model``: what
        read its polarity and certainty), quote (the span), cues (list of
        {text, start, end, says}: the words that made it, with their classes or their weights), subject_from
        (``words`` in the span, ``context`` before it, or null), repeats (list of {start, end}: where the note says it
        again). Offsets are those of ``note.text``.
    """
    lex = lexicon()
    found, told = _found(note, lex)
    rows = []
    for c in told:
        start, end = _span(c, found)
        cues = {}
        for hit in weighty_words(found, c) if c.rule.name == LEARNED else _met_words(found, c):
            a, b = found.squeezed.original(hit.start, hit.end)
            says = (
                " ".join(lex.names(hit.mask & ~_entity_mask(hit.entity)))
                if hit.entity is None
                else hit.entity.name
            )
            cues[a, b] = {"text": note.text[a:b], "start": a, "end": b, "says": says or hit.relation}
        rows.append(
            {
                "event_id": _event_id(note, c, start, end),
                "kind": c.rule.kind,
                "rule": c.rule.name,
                "likely": c.likely,
                "by_its_words": by_its_words(c),
                "borne_by": c.borne_by,
                "quote": note.text[start:end],
                "cues": [cues[key] for key in sorted(cues)],
                "subject_from": None if c.subject is None else "context" if c.carried else "words",
                "repeats": [
                    dict(zip(("start", "end"), _clauses_span(found, lo, hi), strict=True))
                    for lo, hi in c.repeats
                ],
            }
        )
    span = pl.Struct({"start": pl.Int64, "end": pl.Int64})
    cue = pl.Struct({"text": pl.String, "start": pl.Int64, "end": pl.Int64, "says": pl.String})
    return pl.DataFrame(
        rows,
        schema={
            "event_id": pl.String, "kind": pl.String, "rule": pl.String, "likely": pl.Float64,
            "by_its_words": pl.Float64, "borne_by": pl.String, "quote": pl.String,
            "cues": pl.List(cue), "subject_from": pl.String, "repeats": pl.List(span),
        },
    )  # fmt: skip


def _met_words(found: Scan, c: Candidate) -> list[Hit]:
    """The words that met a rule: its anchor, what turned or hedged it, and what it needs."""
    needed = 0
    for group, _ in c.rule.needs:
        needed |= group
    return [*c.cues, *(h for k in found.clauses[c.lo : c.hi + 1] for h in k.hits if h.mask & needed)]


def _entity_mask(entity: object) -> int:
    return getattr(entity, "mask", 0)


def _found(note: Note, lex: Lexicon) -> tuple[Scan, list[Candidate]]:
    found = scan(note.text, lex, note.body)
    return found, fold_repeats(read(found, *ruled(found, note.published_at.year)), found)


def ruled(found: Scan, year: int) -> tuple[list[Candidate], list[Candidate]]:
    """What rules met, one candidate a statement, and what they found denied; ``year`` is the note's."""
    met: list[Candidate] = []
    denied: list[Candidate] = []
    for c in candidates(found, year):
        (denied if c.denied else met).append(c)
    return drop_shadowed(within_sentence(met, found.clauses)), denied


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows as events; by way of Arrow, which builds nested columns six times as fast as polars does from rows."""
    import pyarrow as pa

    empty = Events.create_empty()
    if not rows:
        return empty
    fields = empty.to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    columns = [
        pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), fields, strict=True)
    ]
    return pl.DataFrame(pl.from_arrow(pa.table(columns, schema=fields)))


@cache
def _strengths() -> dict[str, float]:
    from signals.scoring import weights

    return dict(weights().select("kind", "weight").iter_rows())


def _span(c: Candidate, found: Scan) -> tuple[int, int]:
    return _clauses_span(found, c.lo, c.hi)


def _clauses_span(found: Scan, lo: int, hi: int) -> tuple[int, int]:
    return found.squeezed.original(found.clauses[lo].start, found.clauses[hi].end)


def _event_id(note: Note, c: Candidate, start: int, end: int) -> str:
    return hashlib.sha256(f"{note.sha256}:{c.rule.kind}:{start}:{end}".encode()).hexdigest()[:16]


def _rows(note: Note, lex: Lexicon, now: dt.datetime) -> list[tuple[Any, ...]]:
    found, told = _found(note, lex)
    dated: dict[int, dt.date | None] = {}
    return [_row(c, found, note, lex, now, dated) for c in told]


def _row(
    c: Candidate, found: Scan, note: Note, lex: Lexicon, now: dt.datetime, dated: dict[int, dt.date | None]
) -> tuple[Any, ...]:
    start, end = _span(c, found)
    symbols, segments = _reach(c, found, lex)
    return (
        _event_id(note, c, start, end),
        c.rule.kind,
        c.subject.name if c.subject else None,
        c.polarity,
        _strengths().get(c.rule.kind, 0.0),
        c.certainty,
        _when(c, found, note.published_at.date(), dated),
        note.published_at,
        symbols,
        segments,
        _magnitudes(c, found),
        note.note_id,
        f"{c.rule.kind.replace('_', ' ')}: {c.subject.name}" if c.subject else c.rule.kind.replace("_", " "),
        start,
        end,
        EXTRACTOR,
        now,
    )


def _when(c: Candidate, found: Scan, told: dt.date, dated: dict[int, dt.date | None]) -> dt.date | None:
    """The day that the clauses of an event name, else one of the three before it in its sentence, nearest first.

    ``dated`` keeps what is known of clauses: the events of a sentence look at the same ones.
    """
    first = found.sentences[c.sentence][0]
    for i in (*range(c.lo, c.hi + 1), *range(c.lo - 1, max(first, c.lo - 3) - 1, -1)):
        if i not in dated:
            clause = found.clauses[i]
            dated[i] = occurred_on(found.squeezed.text[clause.start : clause.end], told)
        if day := dated[i]:
            return day
    return None


def _reach(c: Candidate, found: Scan, lex: Lexicon) -> tuple[list[str], list[str]]:
    """The symbols named and the links of the chain it bears on; both empty means the whole basket.

    What buyers of cooling do (a chip, a rack, a budget) bears on those who sell it, not on the buyer's stock.
    """
    symbols: dict[str, None] = {}
    segments: dict[str, None] = {}
    rivals: dict[str, None] = {}
    demand = c.rule.kind in _DEMAND
    entities = [h.entity for k in found.clauses[c.lo : c.hi + 1] for h in k.hits if h.entity]
    if c.subject and c.carried:
        entities.append(c.subject)
    company, customer, part = _companies(lex)
    for entity in entities:
        if demand and (entity.mask & customer or not entity.mask & (part | company)):
            continue
        if entity.symbols:
            symbols |= dict.fromkeys(entity.symbols)
        elif entity.mask & company:
            rivals |= dict.fromkeys(entity.segments)
        else:
            segments |= dict.fromkeys(entity.segments)
    if symbols and c.rule.kind in _OF_A_FIRM:
        return list(symbols), []  # what a firm won its rivals did not
    if not symbols and not segments and not demand:
        segments = rivals
    return list(symbols), list(segments)


@cache
def _companies(lex: Lexicon) -> tuple[int, int, int]:
    return (
        lex.mask("supplier|buyer|chipmaker|firm|company"),
        lex.mask("chipmaker|serverco|buyer|idc|telco"),
        lex.mask("part|optical|powergear"),
    )


def _magnitudes(c: Candidate, found: Scan) -> list[dict[str, Any]]:
    out = []
    for clause in found.clauses[c.lo : c.hi + 1]:
        for q in clause.quantities:
            name = _QUANTITY.get((c.rule.kind, q.cls)) or _NAMES.get(q.cls)
            if name is None:
                continue
            if q.cls == "num_pct" and _CHANGE.search(
                found.squeezed.text, max(clause.start, q.start - 8), q.start
            ):
                name = "change"
            unit, factor = (
                (q.unit, 1.0)
                if q.unit
                else _BARE.get(c.rule.kind, ("CNY" if q.cls == "num_magnitude" else "", 1.0))
            )
            scaled = [None if v is None else round(v * factor, 10) for v in (q.low, q.high)]
            out.append({"quantity": name, "unit": unit, "low": scaled[0], "high": scaled[1]})
    return out
