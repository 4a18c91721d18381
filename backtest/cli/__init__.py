"""The command ``ashare``: one lazy line per command, so that each start imports only what it uses.

A command is a plain function in one of this folder's modules; it takes ``common: Common``, returns its exit
code (or None for 0), and lets an ``AshareError`` rise: it is printed here, once, and never as a traceback.
"""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from data_cache.errors import AshareError

__all__ = ["app", "main"]

app = App(
    name="ashare",
    help="Had I traded on such notes, when they became knowable, under the exchange's real rules: what would "
    "I have kept?\n\nStart with `ashare demo`. Every command takes --db (or ASHARE_DB), --json and --quiet.",
    version_flags=["--version"],
)
for _name, _target in {
    "demo": "demo:demo",
    "refresh": "refresh:refresh",
    "import": "import_:import_",
    "export": "store:export",
    "status": "store:status",
    "rule": "rule:rule",
    "extract": "notes:extract",
    "events": "notes:events",
    "strategies": "strategies:strategies",
    "backtest": "run:backtest",
    "compare": "run:compare",
    "audit": "run:audit",
}.items():
    app.command(f"backtest.cli.{_target}", name=_name)


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 2 wrong usage, 3 partial, 4 every provider failed, 5 integrity, 74 disk,
        75 busy, 130 interrupted.
    """
    from rich.console import Console

    errors = Console(stderr=True, highlight=False)
    given = sys.argv[1:] if argv is None else argv
    try:
        if not given or given[0] in app.help_flags:
            app.resolved_commands()  # each is listed with the first line of its docstring
        code = app(given, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        errors.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
        return 2
    except AshareError as error:
        errors.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        errors.print("[bold]interrupted:[/] what was stored before stays; run the same command again")
        return 130
    except BrokenPipeError:  # `ashare events | head`
        sys.stderr.close()
        return 0
    return int(code) if isinstance(code, int) else 0


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
