"""``ashare extract`` and ``ashare events`` from outside."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from random import Random

import duckdb
import polars as pl
import pytest

from backtest.cli import main
from data_cache.store import Store
from signals.novelty import first_told
from signals.public_timeline import timeline

TEXT = "去年 NVL72 机柜推迟了。英维克已经打入英伟达的供应链。"


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "store.duckdb"
    monkeypatch.setenv("ASHARE_DB", str(path))
    return path


@pytest.fixture
def call(tmp_path: Path) -> Path:
    path = tmp_path / "notes" / "call.txt"
    path.parent.mkdir()
    path.write_text(TEXT, encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main([str(a) for a in argv])
    said = capsys.readouterr()
    return code, said.out, said.err


def as_json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    code, out, err = run(capsys, *argv, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_note_becomes_stored_events_once(db: Path, call: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("extract", call, "--known-at", "2025-08-31T15:00+08:00", "--speaker", "甲")
    done = as_json(capsys, *args)["notes"]
    assert [(d["status"], d["events"]) for d in done] == [("new", 2)]
    before = Store.open(db).snapshot_id()
    assert as_json(capsys, *args)["notes"][0]["status"] == "unchanged"
    store = Store.open(db)
    assert store.snapshot_id() == before
    assert store.notes()["speaker"].to_list() == ["甲"]
    rows = store.events().to_dicts()
    assert {r["kind"] for r in rows} == {"rack_delay", "supplier_win"}
    assert all(r["known_at"].isoformat() == "2025-08-31T15:00:00+08:00" for r in rows)


def test_a_changed_note_supersedes_its_events_and_the_old_ones_stay_readable(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    then = Store.open(db).snapshot_id()
    call.write_text("液冷的渗透率非常低。", encoding="utf-8")
    assert as_json(capsys, "extract", call, "--known-at", "2025-08-31")["notes"][0]["status"] in (
        "new",
        "changed",
    )
    assert Store.open(db).events()["kind"].to_list() == ["penetration_view"]
    assert set(Store.open(db, as_of=then).events()["kind"]) == {"rack_delay", "supplier_win"}


def test_another_date_for_the_same_text_moves_its_events(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    assert as_json(capsys, "extract", call, "--known-at", "2025-09-01")["notes"][0]["status"] == "changed"
    assert {d.date() for d in Store.open(db).events()["known_at"]} == {dt.date(2025, 9, 1)}


def test_an_undated_note_is_refused_and_no_store_is_made(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "extract", call)
    assert (code, out) == (2, "")
    assert "--known-at" in err
    assert "Traceback" not in err
    assert not db.exists()


@pytest.mark.parametrize("raw", [b"", b"\0\x01\x02" * 50], ids=["empty", "binary"])
def test_a_bad_note_changes_nothing_stored(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str], raw: bytes
) -> None:
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    before = Store.open(db).snapshot_id()
    call.write_bytes(raw)
    code, _, err = run(capsys, "extract", call, "--known-at", "2025-08-31")
    assert code == 2
    assert err.count("error:") == 1
    assert Store.open(db).snapshot_id() == before


def test_a_folder_gives_what_can_be_read_and_says_what_cannot(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gbk = call.parent / "b.md"
    gbk.write_bytes(f"---\npublished_at: 2025-07-01\n---\n{TEXT}".encode("gbk"))
    code, out, err = run(capsys, "extract", call.parent, "--json")
    assert code == 3
    done = json.loads(out)
    assert [d["note"].rpartition("-")[0] for d in done["notes"]] == ["b"]
    assert len(done["refused"]) == 1
    assert "call.txt" in err
    assert Store.open(db).notes()["published_at"][0].date() == dt.date(2025, 7, 1)


def test_known_at_dates_only_the_undated_notes_of_a_folder(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (call.parent / "b.txt").write_text(f"---\npublished_at: 2025-07-01\n---\n{TEXT}。", encoding="utf-8")
    as_json(capsys, "extract", call.parent, "--known-at", "2025-08-31")
    dates = dict(
        Store.open(db).notes().select("title", "published_at", "path").select("path", "published_at").rows()
    )
    assert {Path(p).name: d.date().month for p, d in dates.items()} == {"b.txt": 7, "call.txt": 8}


def test_a_correction_made_later_is_taken_up(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("extract", call, "--known-at", "2025-08-31")
    as_json(capsys, *args)
    known = dict(Store.open(db).events().select("kind", "event_id").iter_rows())
    Path(f"{call}.review.csv").write_text(
        f"event_id,action,who,when\n{known['rack_delay']},reject,LI,2025-09-01\n", encoding="utf-8"
    )
    as_json(capsys, *args)
    assert Store.open(db).events()["kind"].to_list() == ["supplier_win"]


def counted(db: Path) -> list[str]:
    return sorted(first_told(Store.open(db).events())["kind"])


def test_what_an_earlier_note_told_counts_once(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = call.parent / "again.txt"
    again.write_text(f"---\npublished_at: 2025-09-10\n---\n{TEXT}液冷的渗透率非常低。", encoding="utf-8")
    code, out, err = run(capsys, "extract", call.parent, "--known-at", "2025-08-31", "--json")
    assert code == 0
    assert [d["events"] for d in json.loads(out)["notes"]] == [3, 2]
    assert "2 of its 3 events were told by an earlier note" in " ".join(err.split())
    assert counted(db) == ["penetration_view", "rack_delay", "supplier_win"]
    listed = as_json(capsys, "events", "--since", "2025-08-30", "--until", "2025-09-10")["events"]
    ours = [e["source"].partition("-")[0] for e in listed if not e["source"].startswith("timeline")]
    assert ours == ["call", "call", "again"]
    assert len(as_json(capsys, "events", "--note", "again")["events"]) == 3


def test_a_note_read_again_is_not_told_by_its_own_earlier_version(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    call.write_text(f"{TEXT}液冷的渗透率非常低。", encoding="utf-8")
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    assert counted(db) == ["penetration_view", "rack_delay", "supplier_win"]


def test_two_files_of_one_name_are_two_notes(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [call.parent / "2025" / "call.txt", call.parent / "call.md"]
    others[0].parent.mkdir()
    others[0].write_text("液冷的渗透率非常低。", encoding="utf-8")
    others[1].write_text("冷板的毛利率在三十个点。", encoding="utf-8")
    for status in ("new", "unchanged"):
        done = as_json(capsys, "extract", call.parent, "--known-at", "2025-08-31")["notes"]
        assert [d["status"] for d in done] == [status] * 3
    assert counted(db) == ["gross_margin", "penetration_view", "rack_delay", "supplier_win"]


def test_the_store_holds_the_same_whatever_was_read_first(
    db: Path, call: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first telling that is rejected gives way to the second, though that note has not changed."""
    again = call.parent / "again.txt"
    again.write_text(f"---\npublished_at: 2025-09-10\n---\n{TEXT}液冷的渗透率非常低。", encoding="utf-8")
    args = ("extract", call.parent, "--known-at", "2025-08-31")
    as_json(capsys, *args)
    first = first_told(Store.open(db).events()).filter(pl.col("kind") == "supplier_win")
    assert first["source"].str.starts_with("call").to_list() == [True]
    Path(f"{call}.review.csv").write_text(
        f"event_id,action,who,when\n{first['event_id'][0]},reject,LI,2025-09-01\n", encoding="utf-8"
    )
    as_json(capsys, *args)
    told = first_told(Store.open(db).events()).filter(pl.col("kind") == "supplier_win")
    assert told["source"].str.starts_with("again").to_list() == [True]
    monkeypatch.setenv("ASHARE_DB", str(tmp_path / "fresh.duckdb"))
    as_json(capsys, *args)
    ids = [sorted(Store.open(path).events()["event_id"]) for path in (db, tmp_path / "fresh.duckdb")]
    assert ids[0] == ids[1]


SENTENCES = (
    "去年 NVL72 机柜推迟了。",
    "液冷的渗透率非常低。",
    "冷板的毛利率在三十个点。",
    "英维克已经打入英伟达的供应链。",
)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_written_copied_and_moved_the_store_is_that_of_the_files(
    seed: int, db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(seed)
    places = [tmp_path / "walk" / where / name for where in ("a", "b") for name in ("call.txt", "note.txt")]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
    places[0].write_text(SENTENCES[0], encoding="utf-8")
    args = ("extract", tmp_path / "walk", "--known-at", "2025-08-31")
    for step in range(7):
        for _ in range(random.choice((1, 2))):
            source = random.choice([place for place in places if place.exists()])
            target = random.choice([place for place in places if place != source])
            match random.choice(("write", "copy", "move")):
                case "write":
                    target.write_text(random.choice(SENTENCES), encoding="utf-8")
                case "copy":
                    target.write_bytes(source.read_bytes())
                case "move":
                    source.replace(target)
        as_json(capsys, *args)
        fresh = tmp_path / f"fresh{step}.duckdb"
        as_json(capsys, *args, "--db", str(fresh))
        now = {place: hashlib.sha256(place.read_bytes()).hexdigest() for place in places if place.exists()}
        held = Store.open(db).notes()
        assert held["sha256"].is_unique().all()
        for path, sha256 in held.select("path", "sha256").iter_rows():
            assert now.get(Path(path), sha256) == sha256, "no file says that any more"
        kept = held.filter(pl.col("sha256").is_in(list(now.values())))["note_id"].to_list()
        told = [Store.open(db).events(sources=kept), Store.open(fresh).events()]
        assert sorted(told[0]["event_id"]) == sorted(told[1]["event_id"])


def test_a_note_of_a_store_that_kept_paths_as_they_were_given_is_replaced_too(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    with duckdb.connect(db) as connection:
        connection.execute("UPDATE notes SET path = 'elsewhere/notes/call.txt'")
    call.write_text(SENTENCES[1], encoding="utf-8")
    monkeypatch.chdir(call.parent)
    as_json(capsys, "extract", "../notes/call.txt", "--known-at", "2025-08-31")
    assert counted(db) == ["penetration_view"]
    assert Store.open(db).notes()["path"].to_list() == [str(call)]


def test_an_event_is_listed_that_only_the_unimported_timeline_told_before(
    db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = timeline().filter(pl.col("subject").is_not_null()).head(1)
    store = Store.create(db)
    store.put_events(
        first.with_columns(
            event_id=pl.lit("mine"), source=pl.lit("mine"), known_at=pl.col("known_at") + dt.timedelta(days=2)
        )
    )
    listed = as_json(capsys, "events")["events"]
    assert "mine" in {e["event_id"] for e in listed}, "what a strategy counts is shown"


def test_a_copy_is_read_once_and_a_moved_file_stays_the_note_it_was(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("extract", call.parent, "--known-at", "2025-08-31")
    as_json(capsys, *args)
    (name,) = Store.open(db).notes()["note_id"]
    copy = call.with_name("copy.txt")
    copy.write_bytes(call.read_bytes())
    done = as_json(capsys, *args)["notes"]
    assert sorted(d["status"] for d in done) == [f"copy of {name}", "unchanged"]
    call.unlink()
    assert [d["note"] for d in as_json(capsys, *args)["notes"]] == [name]
    copy.write_text("液冷的渗透率非常低。", encoding="utf-8")
    as_json(capsys, *args)
    assert counted(db) == ["penetration_view"]


def test_events_lists_notes_beside_the_timeline_and_filters(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    every = as_json(capsys, "events")["events"]
    sources = {e["source"] for e in every}
    assert "timeline (not imported)" in sources
    assert len(sources) == 2
    delays = as_json(capsys, "events", "--kind", "rack_delay")["events"]
    assert {e["kind"] for e in delays} == {"rack_delay"}
    assert {e["source"] for e in delays} == sources
    late = as_json(capsys, "events", "--since", "2025-08-31", "--until", "2025-08-31")["events"]
    assert {e["known_at"][:10] for e in late} == {"2025-08-31"}
    named = as_json(
        capsys, "events", "--symbol", "SZ002837", "--source", Store.open(db).notes()["note_id"][0]
    )
    assert [e["kind"] for e in named["events"]] == ["supplier_win"]


def test_without_a_store_events_shows_the_timeline(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {e["source"] for e in as_json(capsys, "events")["events"]} == {"timeline (not imported)"}
    code, out, _ = run(capsys, "events", "--limit", "3")
    assert code == 0
    assert "more rows" in out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--kind", "rack_dealy"), "did you mean 'rack_delay'"),
        (("--since", "yesterday"), "--since is 'yesterday'"),
        (
            ("--since", "2025-09-02", "--until", "2025-09-01"),
            "--since 2025-09-02 is after --until 2025-09-01",
        ),
        (("--source", "timelin"), "did you mean 'timeline'"),
        (("--limit", "-5"), "--limit is -5; needs 0 or more"),
        (
            ("--explain", "002837.SZ", "2025-09-05", "--since", "2025-09-01", "--source", "timeline"),
            "no filter but --kind; leave out --since, --source",
        ),
        (("--html", "x.html"), "--note"),
        (("--note", "call"), "no store"),
        (("--explain", "002837.SZ", "2025-09-05"), "no store"),
    ],
)
def test_a_wrong_question_is_one_clear_error(
    db: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], says: str
) -> None:
    code, out, err = run(capsys, "events", *argv)
    assert (code, out) == (2, "")
    assert says in " ".join(err.split())


@pytest.mark.parametrize(
    "argv",
    [
        ("--symbol", "600519.SH"),
        ("--source", "timeline"),  # known, and not imported
        ("--since", "1999-01-01", "--until", "1999-01-01"),
    ],
)
def test_a_question_without_an_answer_says_so(
    db: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, "events", *argv, "--json")
    assert (code, json.loads(out)["events"]) == (0, [])
    assert "no event is known that answers to this" in err


def test_a_note_is_shown_with_its_quotes_and_as_a_page(
    db: Path,
    call: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    shown = as_json(capsys, "events", "--note", "call")
    assert [e["quote"] for e in shown["events"]] == ["去年 NVL72 机柜推迟了", "英维克已经打入英伟达的供应链"]
    assert "text" not in shown["note"]
    page = tmp_path / "call.html"
    as_json(capsys, "events", "--note", "call", "--html", str(page))
    assert "rack-slips" in page.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    named = as_json(capsys, "events", "--note", "call", "--html")["html"]
    assert named == f"{shown['note']['note_id']}.html"
    assert Path(named).read_text("utf-8") == page.read_text("utf-8")
    code, _, err = run(capsys, "events", "--note", "cal1")
    assert code == 2
    assert "known: call-" in err


def test_explain_shows_events_that_sum_to_the_score(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from data_cache.universe import load_universe
    from signals.scoring import scores

    as_json(capsys, "extract", call, "--known-at", "2025-08-31")
    told = as_json(capsys, "events", "--explain", "002837.SZ", "2025-09-05")
    store = Store.open(db)
    import polars as pl

    # what a strategy would read: the timeline was not imported, so none of it counts
    every = store.events()
    day = dt.date(2025, 9, 5)
    wanted = scores(every, store.calendar(), load_universe("liquid_cooling"), start=day, end=day)
    wanted = wanted.filter(pl.col("symbol") == "002837.SZ")
    parts: dict[str, float] = {}
    for event in told["events"]:
        parts[event["kind"]] = parts.get(event["kind"], 0.0) + event["score"]
    assert parts == pytest.approx(dict(wanted.select("kind", "score").iter_rows()))
    one = as_json(capsys, "events", "--explain", "002837.SZ", "2025-09-05", "--kind", "supplier_win")
    assert one["events"] == [e for e in told["events"] if e["kind"] == "supplier_win"] != []
    assert [t["kind"] for t in one["scores"]] == ["supplier_win"]
    none = run(capsys, "events", "--explain", "002837.SZ", "2025-09-05", "--kind", "tariff")
    assert none[0] == 0
    assert "no event of tariff known by 2025-09-05 pushes 002837.SZ" in none[2]
    for symbol, day, says in (
        ("002837.SZ", "2030-03-13", "2030-03-13 lies beyond it"),
        ("000001.SZ", "2025-09-05", "000001.SZ is not among the 22 companies of universe 'liquid_cooling'"),
    ):
        code, _, err = run(capsys, "events", "--explain", symbol, day)
        assert code == 2
        assert says in " ".join(err.split())
    code, _, err = run(capsys, "events", "--explain", "002837.SZ", "2025-09-06")
    assert code == 2
    assert "no trading session" in err


def test_the_model_needs_to_be_told_where_it_is(
    db: Path, call: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASHARE_LLM_BASE_URL", raising=False)
    code, _, err = run(capsys, "extract", call, "--known-at", "2025-08-31", "--llm")
    assert code == 2
    assert "ASHARE_LLM_BASE_URL" in err
    assert not db.exists()
