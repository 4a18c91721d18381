"""``ashare extract``: notes become stored events. ``ashare events``: what is known, and why."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from backtest.cli.common import Common, progress_console, say, show_json, show_table
from data_cache.errors import AshareError, NoData, Partial, UnknownName, UsageError

if TYPE_CHECKING:
    import polars as pl

    from backtest.cli.shelf import Shelf
    from data_cache.store import Store
    from signals.llm import Settings
    from signals.note import Note

__all__ = ["events", "extract"]


def extract(
    *paths: Path,
    known_at: str | None = None,
    title: str | None = None,
    source: str | None = None,
    speaker: str | None = None,
    llm: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """Turn notes into dated events: .txt, .md, .docx or .pdf, in UTF-8 or GBK; folders with all below them.

    A note must say when it became knowable, by --known-at or in its front matter (published_at between two
    lines of ---). Notes that have not changed are skipped; a changed note's events replace its earlier ones,
    which stay readable as of then. Corrections in NOTE.review.csv win. What another note told within the 30 days
    before counts once, where it was told first, whichever of them was read first.

    One note: `ashare extract call.txt --known-at 2025-08-31T15:00+08:00`

    A folder of notes that date themselves: `ashare extract notes/`

    Args:
        paths: Notes, or folders of notes.
        known_at: When the note became knowable: a moment with its zone, or a date (after that day's close). Wins
            over one note's front matter; of several notes it dates those that do not say.
        title: What it is called.
        source: Where it comes from.
        speaker: Who wrote or said it.
        llm: Ask the model at ASHARE_LLM_BASE_URL in place of the rules; every quote is checked against the note.
        common: Options of every command.
    """
    if not paths:
        raise UsageError("no note given; e.g. `ashare extract call.txt --known-at 2025-08-31`")
    from signals.note import find_notes

    files = find_notes(paths)
    flags = {"known_at": known_at, "title": title, "source": source, "speaker": speaker}
    where = _model() if llm else None
    notes, refused = _read_all(files, flags)
    if refused and not notes:
        raise UsageError(_list_refused(refused)) if len(refused) > 1 else refused[0]
    from data_cache.store import Store

    store = Store.create(common.path)
    done = _store_all(store, notes, where, refused, common)
    if common.json:
        show_json({"store": str(common.path), "notes": done, "refused": [str(e) for e in refused]})
    elif not common.quiet:
        import polars as pl

        shown = pl.DataFrame(done, schema={"note": pl.String, "status": pl.String, "events": pl.Int64})
        if shown.height > 20:
            shown = shown.group_by("status").agg(notes=pl.len(), events=pl.col("events").sum()).sort("status")
        show_table(shown)
    if refused:
        raise Partial(_list_refused(refused))
    return 0


def _model() -> Settings:
    from signals.llm import settings

    return settings()


def _read_all(files: list[Path], flags: dict[str, str | None]) -> tuple[list[Note], list[AshareError]]:
    """Every note that can be read, before anything is stored; and why the others cannot."""
    from data_cache.errors import UndatedNote
    from signals.note import read_note

    notes: list[Note] = []
    refused: list[AshareError] = []
    for path in files:
        try:
            if len(files) == 1:
                notes.append(read_note(path, **flags))
                continue
            try:
                notes.append(read_note(path, **{**flags, "known_at": None}))
            except UndatedNote:
                notes.append(read_note(path, **flags))
        except UsageError as error:
            refused.append(error)
    return notes, refused


def _list_refused(refused: list[AshareError]) -> str:
    shown = "\n".join(f"  {error}" for error in refused[:10])
    more = f"\n  and {len(refused) - 10} more" if len(refused) > 10 else ""
    return f"{len(refused)} note{'s' * (len(refused) > 1)} could not be used:\n{shown}{more}"


def _store_all(
    store: Store, notes: list[Note], where: Settings | None, refused: list[AshareError], common: Common
) -> list[dict[str, Any]]:
    from rich.progress import Progress

    from backtest.cli.shelf import Shelf
    from signals.extraction import EXTRACTOR
    from signals.review import has_review

    shelf = Shelf(store)
    made_by = dict(store.events().select("source", "extractor").unique("source").iter_rows())
    extractor = where.extractor if where else EXTRACTOR
    console = progress_console(common)
    done: list[dict[str, Any]] = []
    with Progress(
        console=console, disable=common.quiet or len(notes) < 3 or not console.is_terminal
    ) as progress:
        for read in progress.track(notes, description="reading notes"):
            try:
                note, stored, copied = shelf.settle(read)
                if stored is not None and copied:
                    done.append({"note": note.note_id, "status": f"copy of {stored['note_id']}", "events": 0})
                    if has_review(note) or note.published_at != stored["published_at"]:
                        say(
                            common,
                            f"{note.path} is a copy: date and corrections are those of {stored['path']}",
                        )
                    continue
                done.append(_store_one(store, shelf, note, where, extractor, stored, made_by, common))
            except UsageError as error:  # a correction beside the note that cannot be made
                if len(notes) == 1:
                    raise
                refused.append(error)
    _say_repeated(store, done, common)
    return done


def _say_repeated(store: Store, done: list[dict[str, Any]], common: Common) -> None:
    from signals.novelty import first_told

    stored = store.events()
    repeated = dict(stored["source"].value_counts().iter_rows())
    for source, count in first_told(stored)["source"].value_counts().iter_rows():
        repeated[source] -= count
    for one in done:
        if one["events"] and (again := repeated[one["note"]]):
            say(
                common,
                f"{one['note']}: {again} of its {one['events']} events were told by an earlier note within the month; "
                "they count there",
            )


def _store_one(
    store: Store,
    shelf: Shelf,
    note: Note,
    where: Settings | None,
    extractor: str,
    stored: dict[str, Any] | None,
    made_by: dict[str, str],
    common: Common,
) -> dict[str, Any]:
    from signals.extraction import extract as extract_rules
    from signals.review import apply_review, has_review, read_review, review_path

    same = stored is not None and all(
        stored[k] == getattr(note, k) for k in ("sha256", "title", "source", "speaker", "published_at")
    )
    if same and not has_review(note) and made_by.get(note.note_id, "").partition(" ")[0] == extractor:
        return {"note": note.note_id, "status": "unchanged", "events": 0}
    if where is None:
        events = extract_rules(note)
    else:
        from signals.llm import extract_with_model

        told = extract_with_model(note, where)
        for warning in told.warnings:
            say(common, f"[yellow]{warning}[/]")
        if told.refused:
            say(
                common,
                f"{note.note_id}: {len(told.refused)} of the model's events refused ({told.refused[0]['reason']})",
            )
        events = told.events
        if has_review(note):
            events = apply_review(events, note, read_review(review_path(note)), dt.datetime.now(dt.UTC))
    if not same:
        shelf.put(note)
    written = store.put_events(events, sources=[note.note_id])
    changed = written.inserted or written.revised or not same
    status = ("new" if stored is None else "changed") if changed else "unchanged"
    return {"note": note.note_id, "status": status, "events": events.height}


def events(
    *,
    kind: list[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    symbol: str | None = None,
    note: str | None = None,
    source: str | None = None,
    html: Annotated[
        tuple[Path, ...] | None, Parameter(consume_multiple=(0, 1), negative=(), metavar="[FILE]")
    ] = None,
    explain: Annotated[tuple[str, str] | None, Parameter(name="--explain")] = None,
    limit: int = 50,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """List events, those of your notes beside the shipped timeline of public ones; of a repetition the first telling.

    Everything known since July, of one kind: `ashare events --kind rack_delay --since 2025-07-01`

    A note with its events marked in place: `ashare events --note call-1a2b3c4d --html`

    What makes up a score: `ashare events --explain 002837.SZ 2025-09-05`

    Args:
        kind: Only these kinds; may be given several times.
        since: Known on this day or later.
        until: Known on this day or earlier.
        symbol: Naming this symbol.
        note: Of this note: its id, or the beginning of it.
        source: Of this source: a note's id, or timeline, or "timeline (not imported)".
        html: With --note: write the note as a page with its events marked and explained, by default beside you as
            NOTE.html.
        explain: SYMBOL and DATE: the events that make up the scores of that decision date, of some kinds with --kind.
        limit: Rows to print; --json prints all.
        common: Options of every command.
    """
    import polars as pl

    if html is not None and note is None:
        raise UsageError("--html shows one note; say which with --note")
    if limit < 0:
        raise UsageError(f"--limit is {limit}; needs 0 or more")
    from data_cache.calendar import as_day

    first = None if since is None else as_day("--since", since)
    last = None if until is None else as_day("--until", until)
    if first is not None and last is not None and first > last:
        raise UsageError(f"--since {since} is after --until {until}; give them in order")
    if kind:
        from signals.lexicon import kinds

        known = [row["kind"] for row in kinds()]
        for name in kind:
            if name not in known:
                raise UnknownName("event kind", name, known)
    store = _open(common)
    if explain is not None:
        filters = {"since": since, "until": until, "symbol": symbol, "note": note, "source": source}
        if given := [f"--{name}" for name, value in filters.items() if value is not None]:
            raise UsageError(f"--explain takes no filter but --kind; leave out {', '.join(given)}")
        return _explain(store, *explain, kind, limit, common)
    found = _all_events(store, repeated=note is not None or source is not None)
    if source is not None:
        notes = [] if store is None else store.notes()["note_id"].to_list()
        sources = {*found["source"], *notes, "timeline", "timeline (not imported)"}
        if source not in sources:
            raise UnknownName("source", source, sources)
        found = found.filter(pl.col("source") == source)
    if kind:
        found = found.filter(pl.col("kind").is_in(kind))
    if first is not None:
        found = found.filter(pl.col("known_at").dt.date() >= first)
    if last is not None:
        found = found.filter(pl.col("known_at").dt.date() <= last)
    if symbol is not None:
        from data_cache.symbols import Symbol

        found = found.filter(pl.col("symbols").list.contains(str(Symbol.parse(symbol))))
    row = None if note is None else _find_note(store, note)
    if row is not None:
        found = found.filter(pl.col("source") == row["note_id"])
    if found.is_empty():
        say(common, "no event is known that answers to this; `ashare events` lists all")
    if row is not None:
        if html is not None:
            return _page(row, found, html[0] if html else Path(f"{row['note_id']}.html"), common)
        return _with_quotes(row, found, limit, common)
    sample = store is not None and store.is_sample
    if common.json:
        show_json({"sample": sample, "events": found})
        return 0
    columns = ["known_at", "kind", "polarity", "certainty", "subject", "symbols", "source", "title"]
    shown = found.sort("known_at", "event_id").select(columns)
    shown = shown.with_columns(pl.col("known_at").dt.strftime("%Y-%m-%d %H:%M"))
    show_table(shown, title="SAMPLE notes, and the shipped timeline" if sample else None, limit=limit)
    return 0


def _open(common: Common) -> Store | None:
    from data_cache.store import Store

    try:
        return Store.open(common.path)
    except NoData:
        return None


def _all_events(store: Store | None, *, repeated: bool) -> pl.DataFrame:
    """Stored events, with what is told again or as a strategy reads them, and those of the shipped timeline.

    Of the timeline those that are not stored, marked as not imported.
    """
    import polars as pl

    from signals.novelty import first_told
    from signals.public_timeline import timeline

    shipped = timeline().with_columns(source=pl.lit("timeline (not imported)"))
    if store is None:
        return shipped
    stored = store.events()
    rest = shipped.filter(~pl.col("event_id").is_in(stored["event_id"].to_list()))
    counted = stored if repeated else first_told(stored)
    return pl.concat([counted, rest.select(stored.columns)]).sort("known_at", "event_id")


def _find_note(store: Store | None, given: str) -> dict[str, Any]:
    if store is None:
        raise NoData("no store, so no notes; `ashare extract NOTE --known-at …` makes one")
    rows = {row["note_id"]: row for row in store.notes().iter_rows(named=True)}
    match = [rows[given]] if given in rows else [row for name, row in rows.items() if name.startswith(given)]
    if len(match) > 1:
        raise UsageError(f"{given!r} begins {len(match)} notes: {', '.join(r['note_id'] for r in match[:5])}")
    if not match:
        if not rows:
            raise NoData("the store holds no notes; `ashare extract NOTE --known-at …` reads one")
        raise UnknownName("note", given, rows)
    return match[0]


def _stored_note(row: dict[str, Any]) -> Note:
    import dataclasses

    from signals.note import note_from_text

    read = note_from_text(row["text"], path=row["path"], sha256=row["sha256"], known_at=row["published_at"])
    kept = {k: row[k] for k in ("note_id", "title", "source", "speaker")}
    return dataclasses.replace(read, **kept)


def _page(row: dict[str, Any], found: pl.DataFrame, html: Path, common: Common) -> int:
    from backtest.whole import write_whole
    from signals.annotated_html import annotated_html

    write_whole({html: annotated_html(_stored_note(row), found).encode()})
    if common.json:
        show_json({"note": row["note_id"], "events": found.height, "html": str(html)})
    else:
        say(common, f"{found.height} events of {row['note_id']} marked in {html}")
    return 0


def _with_quotes(row: dict[str, Any], found: pl.DataFrame, limit: int, common: Common) -> int:
    import polars as pl

    quotes = [row["text"][a:b] for a, b in found.select("span_start", "span_end").iter_rows()]
    quoted = found.with_columns(quote=pl.Series(quotes, dtype=pl.String)).sort("span_start", "event_id")
    if common.json:
        show_json({"note": {k: v for k, v in row.items() if k != "text"}, "events": quoted})
        return 0
    shown = quoted.select("event_id", "kind", "polarity", "certainty", "subject", "quote")
    show_table(shown, title=f"{row['note_id']}, knowable from {row['published_at']}", limit=limit)
    return 0


def _explain(
    store: Store | None, symbol: str, date: str, kind: list[str] | None, limit: int, common: Common
) -> int:
    import polars as pl

    from data_cache.calendar import as_day, require_within
    from data_cache.symbols import Symbol
    from data_cache.universe import load_universe, members
    from signals.novelty import first_told
    from signals.scoring import contributions

    if store is None:
        raise NoData("no store, so no calendar of sessions; `ashare import` or `ashare refresh` makes one")
    name, day = str(Symbol.parse(symbol)), as_day("DATE", date)
    kept = "sample" if store.is_sample else "liquid_cooling"
    universe = load_universe(kept)
    members(name, universe, kept)
    # what a strategy reads, so not the unimported timeline
    found, calendar = first_told(store.events()), store.calendar()
    require_within(calendar, day)
    if day not in set(calendar.to_list()):
        raise UsageError(f"{day} is no trading session, so no decision is taken on it; give a session")
    parts = contributions(found, calendar, universe, start=day, end=day).filter(pl.col("symbol") == name)
    if kind:
        parts = parts.filter(pl.col("kind").is_in(kind))
    told = found.select("event_id", "known_at", "polarity", "certainty", "subject", "source", "title")
    rows = parts.join(told, on="event_id", how="left").sort(
        "kind", pl.col("score").abs(), descending=[False, True]
    )
    totals = parts.group_by("kind").agg(pl.col("score").sum(), events=pl.len()).sort("kind")
    if common.json:
        show_json({"sample": store.is_sample, "symbol": name, "date": day, "scores": totals, "events": rows})
        return 0
    if rows.is_empty():
        of = f"of {' or '.join(kind)} " if kind else ""
        say(common, f"no event {of}known by {day} pushes {name}")
        return 0
    label = "SAMPLE " if store.is_sample else ""
    show_table(totals, title=f"{label}{name}, decisions of {day}")
    columns = [
        "kind",
        "score",
        "known_at",
        "age",
        "exposure",
        "polarity",
        "certainty",
        "subject",
        "source",
        "title",
    ]
    shown = rows.select(columns).with_columns(pl.col("known_at").dt.strftime("%Y-%m-%d %H:%M"))
    show_table(shown, limit=limit)
    return 0
