"""What would have happened: fills under the exchange's rules, the accounts, and the comparison.

``run`` one strategy, ``compare`` several; both are imported when first used, so that commands start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtest.comparison import Comparison, compare
    from backtest.execution import Execution
    from backtest.result import Backtest, run

__all__ = ["Backtest", "Comparison", "Execution", "compare", "run"]


def __getattr__(name: str) -> Any:
    import importlib

    homes = {
        "Backtest": "result",
        "run": "result",
        "Comparison": "comparison",
        "compare": "comparison",
        "Execution": "execution",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"backtest.{homes[name]}"), name)
