"""The optional second extractor against a loopback server, good answers and bad."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data_cache.errors import ProvidersFailed, UsageError
from data_cache.schemas import Events
from signals.llm import PROMPT_HASH, Settings, extract_with_model, settings
from signals.note import note_from_text

TEXT = "去年 NVL72 机柜推迟了。英维克已经打入英伟达的供应链。CDU 的毛利率在三十个点。"
NOTE = note_from_text(TEXT, known_at="2025-08-31")
GOOD = {
    "quote": "NVL72 机柜推迟了",
    "kind": "rack_delay",
    "polarity": -1,
    "certainty": "fact",
    "subject": "NVL72",
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: list  # (status, body, headers), or "hang"; the last one repeats
    seen: list
    release: threading.Event


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), body))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer == "hang":
            self.server.release.wait(10)
            return
        if answer == "drop":
            self.connection.close()
            return
        status, text, headers = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.seen, made.release = [], threading.Event()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.release.set()
    made.shutdown()
    thread.join()
    made.server_close()


def said(content: str, status: int = 200, **headers: str) -> tuple:
    return status, json.dumps({"choices": [{"message": {"content": content}}]}), headers


def told(*events: object) -> tuple:
    return said(json.dumps({"events": list(events)}, ensure_ascii=False))


def where(server: Server, cutoff: str | None = "2024-06") -> Settings:
    return Settings(f"http://127.0.0.1:{server.server_port}/v1", "a-model", "secret", cutoff)


def test_a_good_answer_becomes_events_with_model_prompt_and_cutoff(server: Server) -> None:
    server.answers = [told(GOOD)]
    result = extract_with_model(NOTE, where(server))
    assert Events.is_valid(result.events)
    row = result.events.row(0, named=True)
    assert TEXT[row["span_start"] : row["span_end"]] == GOOD["quote"]
    assert row["extractor"] == f"llm:a-model:prompt={PROMPT_HASH}:cutoff=2024-06"
    assert (row["kind"], row["polarity"], row["known_at"]) == ("rack_delay", -1, NOTE.published_at)
    assert result.refused == []
    assert result.warnings == []
    path, authorization, body = server.seen[0]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer secret")
    assert body["messages"][1]["content"] == TEXT


def test_symbols_and_amounts_come_from_the_tables_not_from_the_model(server: Server) -> None:
    win = GOOD | {
        "quote": "英维克已经打入英伟达的供应链",
        "kind": "supplier_win",
        "polarity": 1,
        "symbols": ["600000.SH"],
    }
    margin = GOOD | {"quote": "CDU 的毛利率在三十个点", "kind": "gross_margin", "polarity": 1}
    server.answers = [told(win, margin)]
    rows = {r["kind"]: r for r in extract_with_model(NOTE, where(server)).events.to_dicts()}
    assert rows["supplier_win"]["symbols"] == ["002837.SZ"]
    assert rows["gross_margin"]["magnitudes"][0]["low"] == 0.3


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (GOOD | {"quote": "NVL72 机柜大幅推迟"}, "not in the note"),
        (GOOD | {"quote": "NVL72机柜推迟了"}, "not in the note"),
        (GOOD | {"quote": ""}, "no quote"),
        (GOOD | {"kind": "moon_landing"}, "unknown kind"),
        (GOOD | {"polarity": 3}, "polarity"),
        (GOOD | {"polarity": True}, "polarity"),
        (GOOD | {"certainty": "sure"}, "certainty"),
        (GOOD | {"subject": 5}, "subject"),
        ("a text", "not an object"),
    ],
)
def test_a_bad_event_is_refused_and_the_good_one_beside_it_kept(
    server: Server, event: object, reason: str
) -> None:
    server.answers = [told(event, GOOD)]
    result = extract_with_model(NOTE, where(server))
    assert result.events.height == 1
    assert [reason in r["reason"] for r in result.refused] == [True]


@pytest.mark.parametrize(
    "answer",
    [said("I found a delay."), said('{"events": 5}'), said("[1, 2]"), (200, "<html>", {}), (200, "{}", {})],
    ids=["prose", "no list", "no object", "html", "no choices"],
)
def test_an_answer_that_is_not_the_json_asked_for_uses_nothing(server: Server, answer: tuple) -> None:
    server.answers = [answer]
    with pytest.raises(ProvidersFailed, match=r"did not answer|does not answer"):
        extract_with_model(NOTE, where(server))


def test_a_fenced_answer_is_read(server: Server) -> None:
    server.answers = [said("Here:\n```json\n" + json.dumps({"events": [GOOD]}) + "\n```")]
    assert extract_with_model(NOTE, where(server)).events.height == 1


def test_too_many_requests_are_waited_for_as_long_as_asked_then_tried_again(server: Server) -> None:
    server.answers = [said("", 429, **{"Retry-After": "7"}), said("", 503), told(GOOD)]
    waits: list[float] = []
    assert extract_with_model(NOTE, where(server), sleep=waits.append).events.height == 1
    assert waits == [7.0, 2.0]


def test_a_server_that_keeps_refusing_is_given_up(server: Server) -> None:
    server.answers = [said("", 429)]
    with pytest.raises(ProvidersFailed, match="HTTP 429") as caught:
        extract_with_model(NOTE, where(server), sleep=lambda _: None)
    assert caught.value.exit_code == 4
    assert len(server.seen) == 3


def test_a_wrong_key_is_not_tried_again(server: Server) -> None:
    server.answers = [said("", 401)]
    with pytest.raises(ProvidersFailed, match="HTTP 401"):
        extract_with_model(NOTE, where(server), sleep=lambda _: None)
    assert len(server.seen) == 1


def test_a_hanging_server_times_out(server: Server) -> None:
    server.answers = ["hang"]
    with pytest.raises(ProvidersFailed, match=r"no answer within 0\.2 s"):
        extract_with_model(NOTE, where(server), timeout=0.2, sleep=lambda _: None)


def test_a_dropped_connection_is_tried_again(server: Server) -> None:
    server.answers = ["drop", told(GOOD)]
    assert extract_with_model(NOTE, where(server), sleep=lambda _: None).events.height == 1


@pytest.mark.parametrize(
    ("cutoff", "says"), [("2025-08", "look-ahead"), ("2026-01", "look-ahead"), (None, "not known")]
)
def test_a_model_that_may_know_what_came_next_is_warned_of(
    server: Server, cutoff: str | None, says: str
) -> None:
    server.answers = [told(GOOD)]
    assert says in extract_with_model(NOTE, where(server, cutoff)).warnings[0]


def test_a_long_note_is_sent_in_pieces_and_quotes_find_their_piece(server: Server) -> None:
    line = "去年 NVL72 机柜推迟了。" + "今天天气不错。" * 500 + "\n"
    note = note_from_text(line * 3, known_at="2025-08-31")
    server.answers = [told(GOOD)]
    result = extract_with_model(note, where(server))
    assert len(server.seen) == 3
    starts = result.events["span_start"].to_list()
    assert starts == [3 + i * len(line) for i in range(3)]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASE_URL", "MODEL", "KEY", "CUTOFF"):
        monkeypatch.delenv(f"ASHARE_LLM_{name}", raising=False)
    with pytest.raises(UsageError, match="ASHARE_LLM_BASE_URL"):
        settings()
    monkeypatch.setenv("ASHARE_LLM_BASE_URL", "https://host/v1/")
    monkeypatch.setenv("ASHARE_LLM_MODEL", "m")
    assert settings() == Settings("https://host/v1", "m", None, None)
    monkeypatch.setenv("ASHARE_LLM_CUTOFF", "last year")
    with pytest.raises(UsageError, match="2025-06"):
        settings()


def test_ingestion_time_can_be_given(server: Server) -> None:
    server.answers = [told(GOOD)]
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert extract_with_model(NOTE, where(server), ingested_at=now).events["ingested_at"].to_list() == [now]
