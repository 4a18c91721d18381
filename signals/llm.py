"""A second extractor, off by default: any OpenAI-compatible chat endpoint.

1. ``settings`` reads where, which model and with which key from the environment.
2. ``_ask`` sends the prompt and one piece of the note; 429, 5xx and dropped connections are tried again, twice.
3. ``_events`` checks every event of the answer against the tables and its quote against the note: a quote that
   is not in the note word for word refuses the event, however plausible.

A model has read the news of its training years. On a note from before its training cut-off it may mark what
mattered because it knows what came next; the result then carries a warning, and where the cut-off is not known it
always does.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from data_cache.errors import ProvidersFailed, UsageError
from data_cache.schemas import CERTAINTIES, Events
from signals.extraction import attributes
from signals.lexicon import kinds

if TYPE_CHECKING:
    from signals.note import Note

__all__ = ["PROMPT_HASH", "Settings", "Told", "extract_with_model", "settings"]

_PIECE = 6000  # characters of a note sent at once; a longer one is cut between paragraphs
_TRIES = 3
_LONGEST_WAIT = 30.0


def _prompt() -> str:
    table = "\n".join(f"{k['kind']}: {k['definition']}" for k in kinds())
    return f"""You mark events in Chinese investment notes for an investor in makers of liquid cooling for data centres.
Answer with one JSON object and nothing else: {{"events": [{{"quote": "...", "kind": "...", "polarity": 0,
"certainty": "fact", "subject": "..."}}]}}
quote: copied from the note character for character, the shortest stretch that says it.
kind: one of the kinds below.
polarity: 1 good for Chinese makers of liquid cooling, -1 bad for them (a foreign rival's gain is bad), 0 neither.
certainty: {", ".join(CERTAINTIES)}.
subject: the company, product or country it is about, or null.
Use nothing but the note: not what you know of later events. Leave out questions and what the note denies.

{table}"""


PROMPT_HASH = hashlib.sha256(_prompt().encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to ask.

    Attributes:
        base_url: e.g. ``https://host/v1``; ``/chat/completions`` is added.
        model: the name the endpoint knows it by.
        key: sent as a bearer token; None sends none.
        cutoff: the last month of its training data, as ``2025-06``; None where it is not known.
    """

    base_url: str
    model: str
    key: str | None
    cutoff: str | None

    @property
    def extractor(self) -> str:
        """What events made this way are marked with."""
        return f"llm:{self.model}:prompt={PROMPT_HASH}:cutoff={self.cutoff or 'unknown'}".replace(" ", "_")


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """An answer: Events, the refused ones as {reason, event}, and warnings for a person."""

    events: pl.DataFrame
    refused: list[dict[str, Any]]
    warnings: list[str]


def settings() -> Settings:
    """From ASHARE_LLM_BASE_URL, ASHARE_LLM_MODEL, ASHARE_LLM_KEY and ASHARE_LLM_CUTOFF.

    Raises:
        UsageError: no base URL or model is set, or the cut-off is not a month.
    """
    base, model = os.environ.get("ASHARE_LLM_BASE_URL"), os.environ.get("ASHARE_LLM_MODEL")
    if not base or not model:
        raise UsageError(
            "--llm needs an endpoint and a model: set ASHARE_LLM_BASE_URL (as https://host/v1) and ASHARE_LLM_MODEL, "
            "and ASHARE_LLM_KEY where it asks for one"
        )
    cutoff = os.environ.get("ASHARE_LLM_CUTOFF") or None
    if cutoff and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", cutoff):
        raise UsageError(f"ASHARE_LLM_CUTOFF is {cutoff!r}; needs a month as 2025-06")
    return Settings(base.rstrip("/"), model, os.environ.get("ASHARE_LLM_KEY") or None, cutoff)


def extract_with_model(
    note: Note,
    where: Settings,
    *,
    timeout: float = 120.0,
    ingested_at: dt.datetime | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Told:
    """The events a model finds in a note.

    Args:
        note: from ``read_note``.
        where: from ``settings``.
        timeout: seconds to wait for one answer.
        ingested_at: default now.
        sleep: how to wait between tries.

    Raises:
        ProvidersFailed: the endpoint cannot be reached, keeps refusing, or answers with something that is not
            the JSON asked for. Nothing of the note is then used.
    """
    now = ingested_at or dt.datetime.now(dt.UTC)
    rows: dict[str, dict[str, Any]] = {}
    refused: list[dict[str, Any]] = []
    for start, piece in _pieces(note):
        answer = _ask(where, piece, timeout, sleep)
        for row, reason, raw in _events(answer, note, start, start + len(piece), where, now):
            if row is None:
                refused.append({"reason": reason, "event": raw})
            else:
                rows[row["event_id"]] = row
    frame = pl.DataFrame(list(rows.values()), schema=Events.create_empty().schema).sort("span_start", "kind")
    return Told(Events.validate(frame), refused, _warnings(note, where))


def _warnings(note: Note, where: Settings) -> list[str]:
    told = note.published_at.strftime("%Y-%m")
    if where.cutoff is None:
        return [
            f"{note.note_id}: {where.model}'s training cut-off is not known (ASHARE_LLM_CUTOFF), so it may have read "
            "what came after this note: look-ahead"
        ]
    if told <= where.cutoff:
        return [
            f"{note.note_id} is of {told} and {where.model} was trained on texts up to {where.cutoff}: it may mark "
            "what mattered because it knows what came next (look-ahead)"
        ]
    return []


def _pieces(note: Note) -> list[tuple[int, str]]:
    out, start, text = [], note.body, note.text
    while start < len(text):
        end = min(len(text), start + _PIECE)
        if end < len(text) and (cut := text.rfind("\n", start + 1, end)) > start:
            end = cut + 1
        if text[start:end].strip():
            out.append((start, text[start:end]))
        start = end
    return out


def _ask(where: Settings, piece: str, timeout: float, sleep: Callable[[float], None]) -> str:
    import requests

    body = {
        "model": where.model,
        "temperature": 0,
        "messages": [{"role": "system", "content": _prompt()}, {"role": "user", "content": piece}],
    }
    headers = {"Authorization": f"Bearer {where.key}"} if where.key else {}
    url = f"{where.base_url}/chat/completions"
    problem = ""
    for attempt in range(_TRIES):
        try:
            reply = requests.post(url, json=body, headers=headers, timeout=timeout)
        except requests.Timeout:
            problem = f"no answer within {timeout:g} s"
            break  # a model that takes too long once takes too long again
        except requests.RequestException as error:
            problem = type(error).__name__
            wait = 2.0**attempt
        else:
            if reply.ok:
                return _content(reply, url)
            problem = f"HTTP {reply.status_code}"
            if reply.status_code != 429 and reply.status_code < 500:
                break
            wait = _retry_after(reply.headers.get("Retry-After")) or 2.0**attempt
        if attempt + 1 < _TRIES:
            sleep(min(wait, _LONGEST_WAIT))
    raise ProvidersFailed(
        f"{where.model} at {url}: {problem}; nothing of this note was used. The rules need no model"
    )


def _retry_after(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d+(\.\d+)?", text) else None


def _content(reply: Any, url: str) -> str:
    try:
        return str(reply.json()["choices"][0]["message"]["content"])
    except (ValueError, LookupError, TypeError):
        raise ProvidersFailed(
            f"{url} does not answer as an OpenAI-compatible endpoint does: {reply.text[:80]!r}"
        ) from None


def _events(
    answer: str, note: Note, start: int, end: int, where: Settings, now: dt.datetime
) -> list[tuple[dict[str, Any] | None, str, Any]]:
    """Each event of an answer as (row, "", raw), or (None, why it was refused, raw)."""
    fenced = re.search(r"```(?:json)?\s*(.*?)```", answer, re.DOTALL)
    try:
        found = list(json.loads(fenced[1] if fenced else answer)["events"])
    except (ValueError, LookupError, TypeError):
        raise ProvidersFailed(
            f"{where.model} did not answer with the JSON asked for but with {answer[:80]!r}; nothing of this note "
            "was used"
        ) from None
    out: list[tuple[dict[str, Any] | None, str, Any]] = []
    for raw in found:
        if reason := _fault(raw, note, start, end):
            out.append((None, reason, raw))
            continue
        at = note.text.index(raw["quote"], start, end)
        out.append((_row(raw, at, note, where, now), "", raw))
    return out


def _fault(raw: Any, note: Note, start: int, end: int) -> str:
    if not isinstance(raw, dict):
        return "not an object"
    quote, subject = raw.get("quote"), raw.get("subject")
    if not isinstance(quote, str) or not quote.strip():
        return "no quote"
    if note.text.find(quote, start, end) < 0:
        return "the quote is not in the note"
    if raw.get("kind") not in {k["kind"] for k in kinds()}:
        return f"unknown kind {raw.get('kind')!r}"
    if isinstance(raw.get("polarity"), bool) or raw.get("polarity") not in (-1, 0, 1):
        return f"polarity is {raw.get('polarity')!r}"
    if raw.get("certainty") not in CERTAINTIES:
        return f"unknown certainty {raw.get('certainty')!r}"
    if subject is not None and not isinstance(subject, str):
        return "subject is no text"
    return ""


def _row(raw: dict[str, Any], at: int, note: Note, where: Settings, now: dt.datetime) -> dict[str, Any]:
    from signals.scoring import weights

    kind, end = raw["kind"], at + len(raw["quote"])
    told = hashlib.sha256(f"{note.sha256}:{kind}:{at}:{end}:{where.extractor}".encode()).hexdigest()[:16]
    strengths = dict(weights().select("kind", "weight").iter_rows())
    return {
        "event_id": told,
        "kind": kind,
        "subject": raw.get("subject") or None,
        "polarity": int(raw["polarity"]),
        "strength": float(strengths.get(kind, 0.0)),
        "certainty": raw["certainty"],
        "occurred_on": None,
        "known_at": note.published_at,
        **attributes(raw["quote"], kind),
        "source": note.note_id,
        "title": kind.replace("_", " "),
        "span_start": at,
        "span_end": end,
        "extractor": where.extractor,
        "ingested_at": now,
    }
