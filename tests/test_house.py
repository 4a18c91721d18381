"""The architecture is a test: one-way imports, where packages come from, what a command imports, the wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("data_cache", "signals", "strategies", "backtest")
BIN = Path(sys.executable).parent


def _python(code: str) -> str:
    """Run in a clean interpreter, isolated from this folder and from PYTHONPATH."""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_imports_go_one_way() -> None:
    done = subprocess.run([BIN / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_hides_a_public_name(package: str) -> None:
    """Python gives a package its imported modules as attributes: extract would be a function once, then a module."""
    code = (
        f"import importlib, pkgutil, types, {package} as p\n"
        "for module in pkgutil.walk_packages(p.__path__, p.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "print([name for name in p.__all__ if isinstance(getattr(p, name), types.ModuleType)])"
    )
    assert _python(code) == "[]\n"


def test_the_packages_are_ours_and_not_the_index_s() -> None:
    # All four names exist on the package index: a wrong install would shadow ours silently.
    code = f"import json, importlib; print(json.dumps([importlib.import_module(p).__file__ for p in {PACKAGES!r}]))"
    for package, place in zip(PACKAGES, json.loads(_python(code)), strict=True):
        assert Path(place).resolve() == ROOT / package / "__init__.py"


@pytest.mark.parametrize(
    ("argv", "never"),
    [
        (["strategies"], {"vectorbt", "akshare", "numba", "pandas", "plotly", "exchange_calendars"}),
        (["status"], {"vectorbt", "akshare", "numba", "pandas", "plotly", "exchange_calendars"}),
        (["backtest", "buy-and-hold"], {"vectorbt", "akshare", "plotly", "pandas", "numba", "scipy"}),
    ],
)
def test_a_command_imports_only_what_it_uses(argv: list[str], never: set[str], sample_db: Path) -> None:
    code = (
        "import sys, json, io, contextlib; from backtest.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    code = main({[*argv, '--db', str(sample_db), '--quiet']!r})\n"
        "print(json.dumps([code, sorted({m.split('.')[0] for m in sys.modules})]))"
    )
    code_, modules = json.loads(_python(code).splitlines()[-1])
    assert code_ in (0, 3), "3 is a stale or gappy store, which a sample of past years is"
    assert not never & set(modules)


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        ("akshare", {"data_cache/akshare_source.py"}),
        ("vectorbt", {"backtest/accounts.py"}),
        (
            "numba",
            {"backtest/session.py", "signals/loops_compiled.py"},
        ),  # one for each machine code that is kept
    ],
)
def test_a_heavy_library_is_imported_where_it_is_wrapped_only(library: str, modules: set[str]) -> None:
    assert modules == {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if _imports(path, library)
    }


def _imports(path: Path, library: str) -> bool:
    import ast

    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import) and any(a.name.split(".")[0] == library for a in node.names):
            return True
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] == library
            and not node.level
        ):
            return True
    return False


def test_the_wheel_holds_every_tracked_file_of_the_packages_and_no_test(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(tracked) <= names
    assert {n.split("/")[0] for n in names} == set(PACKAGES)
    assert all(f"{p}/py.typed" in names for p in PACKAGES)


def test_no_tracked_file_names_a_machine_or_a_package_index() -> None:
    # split, so that this file does not name them either
    names = "|".join("".join(parts) for parts in (("/ro", "ot/"), ("py", "pi[.]org"), ("python", "hosted")))
    found = subprocess.run(
        ["git", "grep", "-nIE", names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
