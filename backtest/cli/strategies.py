"""``ashare strategies``: each hypothesis, where it comes from, its parameters, and what would refute it."""

from __future__ import annotations

from typing import Any

from backtest.cli.common import Common, show_json

__all__ = ["strategies"]


def strategies(name: str | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008
    """List the strategies with their claims, parameters and what would refute them.

    Args:
        name: Only this one.
    """
    from data_cache.errors import UnknownName
    from strategies.catalogue import ALL, describe

    if name is not None and name not in ALL:
        raise UnknownName("strategy", name, ALL)
    described = [describe(each) for each in ([name] if name is not None else ALL)]
    if common.json:
        show_json({"strategies": described})
    else:
        for each in described:
            _print(each)
    return 0


def _print(each: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding

    console = Console(highlight=False)
    console.print(f"[bold]{each['name']}[/]  {each['class']}")
    for label, text in (
        ("claim", each["claim"]),
        ("from", each["source"]),
        ("does", each["method"]),
        ("refuted if", each["refuted_if"]),
        ("reads", ", ".join(each["kinds"]) or "no events"),
    ):
        console.print(Padding(f"[dim]{label}:[/] {escape(text)}", (0, 0, 0, 2)))
    for parameter in each["parameters"]:
        default = "none" if parameter["default"] is None else parameter["default"]
        console.print(
            Padding(f"[cyan]-p {parameter['name']}={default}[/]  {escape(parameter['text'])}", (0, 0, 0, 4))
        )
    console.print()
