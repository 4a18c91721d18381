"""The units and the crontab line of docs/daily.md are ones that systemd, cron and the command accept."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from backtest.cli import app
from data_cache import errors

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ROOT / "deploy" / "ashare-refresh.service"
TIMER = ROOT / "deploy" / "ashare-refresh.timer"
DAILY = (ROOT / "docs" / "daily.md").read_text(encoding="utf-8")


def verify(tmp_path: Path, *units: Path) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *map(str, units)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{done.stderr}{done.stdout}" + (f"exit code {done.returncode}" if done.returncode else "")


def test_systemd_accepts_both_units_without_a_word(tmp_path: Path) -> None:
    assert verify(tmp_path, SERVICE, TIMER) == ""


def test_systemd_would_have_said_so(tmp_path: Path) -> None:
    broken = tmp_path / SERVICE.name
    broken.write_text(
        SERVICE.read_text(encoding="utf-8").replace("Type=oneshot", "Type=onesht"), encoding="utf-8"
    )
    assert "onesht" in verify(tmp_path, broken)


def test_the_timer_rings_after_the_close_in_shanghai() -> None:
    times = re.findall(r"^OnCalendar=(\S+) (\d\d):(\d\d) (\S+)$", TIMER.read_text(encoding="utf-8"), re.M)
    assert len(times) == 2
    assert all((days, zone) == ("Mon..Fri", "Asia/Shanghai") for days, _, _, zone in times)
    assert all((int(hour), int(minute)) > (15, 30) for _, hour, minute, _ in times)


def test_the_command_of_the_service_is_one_the_program_takes() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(SERVICE, encoding="utf-8")
    env, program, *command = shlex.split(unit["Service"]["ExecStart"])
    assert (env, program) == ("/usr/bin/env", "ashare")
    assert unit["Service"]["SuccessExitStatus"] == str(errors.StoreBusy.exit_code)
    app.parse_args(command, exit_on_error=False, print_error=False)


def test_the_crontab_line_is_one_cron_and_the_program_take() -> None:
    line = re.search(r"```cron\n(.*)\n```", DAILY)
    assert line
    assert "%" not in line[1], "cron reads a percent sign as a line break"
    fields, command = line[1].split("  ", 1)
    assert re.fullmatch(r"30 10,13 \* \* 1-5", fields)
    words = shlex.split(command)
    assert words[0].startswith("ASHARE_DB=")
    assert words[1].endswith("/bin/ashare")
    app.parse_args(words[2:], exit_on_error=False, print_error=False)


def test_every_exit_code_is_explained() -> None:
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", DAILY, re.M)}
    kinds = [errors.UsageError, errors.Partial, errors.ProvidersFailed, errors.IntegrityError]
    assert table == {0, 130} | {k.exit_code for k in [*kinds, errors.StorageError, errors.StoreBusy]}


@pytest.mark.parametrize("command", re.findall(r"^ashare (refresh[^#\n]*)", DAILY, re.M))
def test_each_refresh_shown_is_one_the_program_takes(command: str) -> None:
    app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)
