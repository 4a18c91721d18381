"""A third witness: rqalpha given the orders of our simulation, its trades beside our fills.

    python -m benchmarks.rqalpha_check --python PYTHON_WITH_RQALPHA [--size S]

rqalpha is no dependency: make an environment of its own with ``pip install rqalpha==6.4.2`` and name its
interpreter. Our orders (those refused included) are placed there in the opening auction of the session they met
here, on the same bars and limits, with commission 2.5 bp, floor 5 yuan, stamp duty 0.05 %; the script prints every
kind of difference with its count, and the seconds of both.

Differences that are meant: rqalpha charges no transfer fee and rounds no fee to the fen.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.witness import witness


def report(result: Any, seconds: float, answer: dict[str, Any]) -> None:
    """Trade by trade: who filled what, at which price and cost."""
    mine = {}
    for _, t, j, side, shares, price, _, fee, duty, transfer in result.raw_fills.tolist():
        mine[t, j, side] = (shares / 1e6, price / 1e6, fee / 100, duty / 100, transfer / 100)
    theirs = {tuple(trade[:3]): trade[3:] for trade in answer["trades"]}
    both = mine.keys() & theirs.keys()
    print(f"fills: ours {len(mine):,}, rqalpha {len(theirs):,}, in both {len(both):,}")
    print(
        f"only ours {len(mine.keys() - theirs.keys()):,}, only rqalpha {len(theirs.keys() - mine.keys()):,}"
    )
    gaps = {
        name: [abs(mine[key][i] - theirs[key][i]) for key in both]
        for i, name in enumerate(("shares", "price", "commission", "stamp duty"))
    }
    for name, gap in gaps.items():
        above = sum(g > 0.00501 for g in gap)
        print(f"{name:12} differs by more than half a fen in {above:,}; at most {max(gap, default=0):.6f}")
    print(f"transfer fee: {sum(f[4] for f in mine.values()):.2f} yuan ours, none in rqalpha")
    print(
        f"seconds: ours {seconds:.4f}, rqalpha {answer['seconds']:.1f}: x {answer['seconds'] / seconds:,.0f}"
    )
    for reason in sorted(set(answer["refusals"])):
        print(f"rqalpha refused {answer['refusals'].count(reason):,}: {reason}")


def replay(folder: Path) -> None:
    """Runs inside rqalpha's environment."""
    import pandas as pd
    from rqalpha import run_func
    from rqalpha.apis import order_shares
    from rqalpha.const import INSTRUMENT_TYPE, MARKET, TRADING_CALENDAR_TYPE
    from rqalpha.core.events import EVENT
    from rqalpha.data.base_data_source import BaseDataSource
    from rqalpha.environment import Environment
    from rqalpha.interface import AbstractMod
    from rqalpha.model.instrument import Instrument

    world = np.load(folder / "world.npz")
    dates = pd.DatetimeIndex(world["dates"])
    stamps = np.array([int(d.strftime("%Y%m%d")) * 1_000_000 for d in dates], dtype=np.uint64)
    n = world["open"].shape[1]
    names = [f"{j:06d}.XSHE" for j in range(n)]
    number = {name: j for j, name in enumerate(names)}
    kinds = [("datetime", "u8")] + [
        (f, "f8")
        for f in ("open", "high", "low", "close", "volume", "total_turnover", "limit_up", "limit_down")
    ]

    class Memory:
        """Every store of rqalpha's data source, from the arrays."""

        def get_bars(self, name: str) -> Any:
            j = number.get(name)
            bars = np.zeros(len(stamps), dtype=kinds)
            bars["datetime"] = stamps
            for field, source in (("open", "open"), ("high", "high"), ("low", "low"), ("close", "close"),
                                  ("volume", "volume"), ("limit_up", "up"), ("limit_down", "down")):  # fmt: skip
                bars[field] = world[source][:, j] if j is not None else 1.0
            bars["total_turnover"] = bars["close"] * bars["volume"]
            return bars[~np.isnan(bars["close"])]

        def get_date_range(self, _name: str) -> tuple[int, int]:
            return int(stamps[0]), int(stamps[-1])

        def get_trading_calendar(self) -> Any:
            return dates

        def contains(self, name: str, days: Any) -> list[bool]:
            j = number.get(name)
            at = [dates.get_loc(pd.Timestamp(day).normalize()) for day in days]
            return [j is not None and bool(np.isnan(world["close"][i, j])) for i in at]

        def get_dividend(self, _name: str) -> None:
            return None

        def get_factors(self, _name: str) -> None:
            return None

        def get_share_transformation(self, _name: str) -> None:
            return None

        def get_yield_curve(self, *_: Any, **__: Any) -> Any:
            return pd.DataFrame({"0S": 0.0}, index=dates)

    class Never(Memory):
        def contains(self, _name: str, days: Any) -> list[bool]:
            return [False] * len(days)

    class Source(BaseDataSource):
        def __init__(self) -> None:
            memory: Any = Memory()
            self._market = MARKET.CN
            self._suspend_days, self._st_stock_days = [memory], Never()
            self._yield_curve = self._share_transformation = memory
            self._day_bar_stores, self._dividend_stores, self._split_stores = {}, {}, {}
            self._calendar_stores, self._ex_factor_stores = {}, {}
            self._id_instrument_map, self._sym_instrument_map, self._grouped_instruments = {}, {}, {}
            from collections import ChainMap

            self._id_or_sym_instrument_map = ChainMap(self._id_instrument_map, self._sym_instrument_map)
            common = {"listed_date": "2000-01-01", "de_listed_date": "0000-00-00", "round_lot": 100, "exchange": "XSHE",
                      "board_type": "MainBoard", "status": "Active", "special_type": "Normal", "market_tplus": 1,
                      "trading_hours": "09:31-11:30,13:01-15:00", "sector_code": "", "industry_code": ""}  # fmt: skip
            self.register_instruments(
                [
                    Instrument({**common, "order_book_id": i, "symbol": i, "type": "CS"}, lambda *_: None)
                    for i in names
                ]
            )
            for kind in (INSTRUMENT_TYPE.CS, INSTRUMENT_TYPE.INDX):
                self.register_day_bar_store(kind, memory)
            for register in (
                self.register_dividend_store,
                self.register_split_store,
                self.register_ex_factor_store,
            ):
                register(INSTRUMENT_TYPE.CS, memory)
            self.register_calendar_store(TRADING_CALENDAR_TYPE.CN_STOCK, memory)

    class Mod(AbstractMod):
        def start_up(self, env: Any, _: Any) -> None:
            env.set_data_source(Source())

        def tear_down(self, *_: Any) -> None:
            pass

    module = type(sys)("memory_mod")
    module.load_mod = Mod  # type: ignore[attr-defined]
    module.__config__ = {}  # type: ignore[attr-defined]
    sys.modules["memory_mod"] = module
    by_day: dict[str, list[Any]] = {}
    for t, j, side, shares in world["orders"].tolist():
        by_day.setdefault(str(dates[t].date()), []).append(
            (j, (1 if side == 0 else -1) * shares // 1_000_000)
        )
    trades: list[list[float]] = []
    refusals: list[str] = []
    position = {str(d.date()): i for i, d in enumerate(dates)}

    def on_trade(_: Any, event: Any) -> None:
        trade = event.trade
        trades.append([
            position[str(trade.trading_datetime.date())], number[trade.order_book_id],
            0 if trade.side.name == "BUY" else 1, trade.last_quantity, trade.last_price, trade.commission, trade.tax,
        ])  # fmt: skip

    def on_reject(_context: Any, event: Any) -> None:
        message = str(getattr(event, "reason", None) or event.order.message or "")
        refusals.append("".join(c for c in message if not c.isdigit() and c != ".")[-60:])

    def init(_context: Any) -> None:
        from rqalpha.apis import subscribe_event

        subscribe_event(EVENT.TRADE, on_trade)
        subscribe_event(EVENT.ORDER_UNSOLICITED_UPDATE, on_reject)
        subscribe_event(EVENT.ORDER_CREATION_REJECT, on_reject)

    def open_auction(_context: Any, _: Any) -> None:
        for j, shares in by_day.get(str(Environment.get_instance().trading_dt.date()), ()):
            order_shares(names[j], shares)

    config = {
        "base": {"start_date": str(dates[1].date()), "end_date": str(dates[-1].date()), "frequency": "1d",
                 "accounts": {"stock": float(world["cash"])}, "data_bundle_path": str(folder)},
        "extra": {"log_level": "error"},
        "mod": {"sys_progress": {"enabled": False}, "sys_analyser": {"enabled": False},
                "sys_simulation": {"volume_limit": False},
                "sys_transaction_cost": {"stock_commission_multiplier": 0.3125},
                "memory": {"enabled": True, "lib": "memory_mod", "priority": 1}},
    }  # fmt: skip
    began = time.perf_counter()
    run_func(config=config, init=init, open_auction=open_auction)
    seconds = time.perf_counter() - began
    (folder / "answer.json").write_text(
        json.dumps({"trades": trades, "refusals": refusals, "seconds": seconds})
    )


if __name__ == "__main__":
    witness("rqalpha", __doc__, replay, report)
