"""backtrader given the orders that filled in our simulation: the same fills, and the seconds of both.

    python -m benchmarks.backtrader_check --python PYTHON_WITH_BACKTRADER [--size S]

backtrader is no dependency: make an environment of its own with ``pip install backtrader numpy`` and name its
interpreter. It knows neither price limits nor suspensions, so it gets only the orders that filled here, each in
``next_open`` of its session (cheat-on-open), with our costs as its commission scheme; a suspended session is a flat
bar nobody orders on. Its costs are rounded to the fen as ours are, half-up.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.witness import witness


def report(result: Any, seconds: float, answer: dict[str, Any]) -> None:
    """Trade by trade: who filled what, at which price and cost."""
    mine = {
        (t, j, side): (shares / 1e6, price / 1e6, (fee + duty + transfer) / 100)
        for _, t, j, side, shares, price, _, fee, duty, transfer in result.raw_fills.tolist()
    }
    theirs = {tuple(trade[:3]): trade[3:] for trade in answer["trades"]}
    both = mine.keys() & theirs.keys()
    print(f"fills: ours {len(mine):,}, backtrader {len(theirs):,}, in both {len(both):,}")
    for i, name in enumerate(("shares", "price", "costs")):
        gaps = [abs(mine[key][i] - theirs[key][i]) for key in both]
        print(f"{name:8} differs in {sum(gap > 1e-6 for gap in gaps):,}; at most {max(gaps, default=0):.6f}")
    print(f"final value: ours {result.value[-1]:,.2f}, backtrader {answer['value']:,.2f}")
    print(
        f"seconds: ours {seconds:.4f}, backtrader {answer['seconds']:.1f}: x {answer['seconds'] / seconds:,.0f}"
    )


def replay(folder: Path) -> None:
    """Runs inside backtrader's environment."""
    import backtrader as bt

    world = np.load(folder / "world.npz")
    days = [bt.date2num(day) for day in world["dates"].astype("datetime64[s]").tolist()]
    close = carried(world["close"])
    fields = {name: np.where(np.isnan(world[name]), close, world[name]) for name in ("open", "high", "low")}
    fields["close"] = close
    by_session: dict[int, list[tuple[int, int, int]]] = {}
    for _, t, j, side, shares, *_ in world["fills"].tolist():
        by_session.setdefault(t, []).append((j, side, shares // 1_000_000))

    class Bars(bt.feed.DataBase):  # type: ignore[misc]  # backtrader ships no types
        params = (("column", 0),)

        def start(self) -> None:
            super().start()
            self.at = 0

        def _load(self) -> bool:
            if self.at == len(days):
                return False
            self.lines.datetime[0] = days[self.at]
            for name, values in fields.items():
                getattr(self.lines, name)[0] = values[self.at, self.p.column]
            self.lines.volume[0] = 1e9
            self.lines.openinterest[0] = 0.0
            self.at += 1
            return True

    class Costs(bt.CommInfoBase):  # type: ignore[misc]
        params = (("stocklike", True), ("commtype", bt.CommInfoBase.COMM_FIXED))

        def _getcommission(self, size: float, price: float, **_how: Any) -> float:
            notional = fen(abs(size) * price)
            duty = fen(notional * 0.0005) if size < 0 else 0.0
            return max(fen(notional * 0.00025), 5.0) + duty + fen(notional * 0.00001)

    def session(day: float) -> int:
        return int(np.searchsorted(days, int(day)))

    trades: list[tuple[int, int, int, float, float, float]] = []

    class Replay(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.number = {data: j for j, data in enumerate(self.datas)}

        def next_open(self) -> None:
            for j, side, shares in by_session.get(session(self.datas[0].datetime[0]), ()):
                (self.buy if side == 0 else self.sell)(data=self.datas[j], size=shares)

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                done = order.executed
                side = 0 if order.isbuy() else 1
                trades.append(
                    (session(done.dt), self.number[order.data], side, abs(done.size), done.price, done.comm)
                )

    engine = bt.Cerebro(cheat_on_open=True, stdstats=False)
    for j in range(close.shape[1]):
        engine.adddata(Bars(column=j))
    engine.addstrategy(Replay)
    engine.broker.setcash(float(world["cash"]))
    engine.broker.set_checksubmit(False)  # the cash of the morning's sells pays for its buys
    engine.broker.addcommissioninfo(Costs())
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    answer = {"trades": trades, "value": engine.broker.getvalue(), "seconds": seconds}
    (folder / "answer.json").write_text(json.dumps(answer))


def fen(yuan: float) -> float:
    """Half-up to the fen; the nudge undoes binary fractions."""
    return float(np.floor(yuan * 100 + 0.5 + 1e-6) / 100)


def carried(prices: Any) -> Any:
    """Each column's last known price, downwards."""
    at = np.maximum.accumulate(np.where(np.isnan(prices), 0, np.arange(len(prices))[:, None]), axis=0)
    return np.take_along_axis(prices, at, axis=0)


if __name__ == "__main__":
    witness("backtrader", __doc__, replay, report)
