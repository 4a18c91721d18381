"""The page, seen through a real browser with no network: it draws, it sorts, and nothing fails in its console."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from backtest.cli import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.browser
def test_the_page_draws_without_a_network(sample_db: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("needs headless Chromium on the PATH")
    page = tmp_path / "report.html"
    assert main(["compare", "--db", str(sample_db), "--out", str(page), "--quiet"]) == 0
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000", "--enable-logging=stderr",
            "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    dom = done.stdout
    assert dom.count('class="main-svg"') >= 3, "plotly drew its figures"
    assert "SAMPLE" in dom
    links = set(re.findall(r'href="#(event-[^"]+)"', dom))
    anchors = set(re.findall(r'id="(event-[^"]+)"', dom))
    assert links, "trades lead to events"
    assert links <= anchors, "every event a trade names is on the page"
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "rror" in line]
    assert complaints == []


def test_the_page_asks_for_nothing_from_outside(sample_db: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert main(["compare", "buy-and-hold", "--db", str(sample_db), "--out", str(page), "--quiet"]) == 0
    text = page.read_text(encoding="utf-8")
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', markup)
