"""``ashare rule``: what the exchange's rules said of one symbol on one date, and the rows that say so."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from backtest.cli.common import Common, say, show_json, show_table

if TYPE_CHECKING:
    from data_cache.rulebook import RuleAnswer

__all__ = ["rule"]

Status = Literal["normal", "st", "s_share", "delisting_period", "new_listing", "relisting"]


def rule(
    symbol: str,
    date: str,
    *,
    prev_close: Annotated[float | None, Parameter(allow_leading_hyphen=True)] = None,
    status: Status = "normal",
    listed_days: Annotated[int | None, Parameter(allow_leading_hyphen=True)] = None,
    issue_price: Annotated[float | None, Parameter(allow_leading_hyphen=True)] = None,
    common: Common | None = None,
) -> None:
    """Limits, lots and fees of one symbol on one date, with the rows of the rule book that decided.

    Args:
        symbol: Any spelling: 300999.SZ, SZ300999, 300999.
        date: The session, as 2020-08-24.
        prev_close: Reference price in yuan: the previous close, on an ex-date the ex-reference price.
            Without it no limit prices are given.
        status: What the name of the day says: normal, st (ST and *ST), s_share, delisting_period,
            new_listing, or relisting (back after a suspended listing or the share reform).
        listed_days: Which session since listing (1 is the first); under delisting_period, of that period.
            Without it: long ago; under new_listing and relisting, the first.
        issue_price: The reference of a listing's first session, in place of prev-close.
        common: Options of every command.
    """
    from data_cache.rulebook import rule as ask

    common = common or Common()
    answer = ask(
        symbol, date, prev_close=prev_close, status=status, listed_days=listed_days, issue_price=issue_price
    )
    if common.json:
        show_json(asdict(answer))
        return
    _show(answer, common)


def _show(answer: RuleAnswer, common: Common) -> None:
    import polars as pl

    told = {
        "board": answer.board,
        "status": answer.status,
        "reference": _yuan(answer.reference),
        "limit up": _limit(answer.limit_up, answer),
        "limit down": _limit(answer.limit_down, answer),
        "buy": f"from {answer.buy_lot} shares in steps of {answer.buy_step}",
        "sell": f"steps of {answer.sell_step}; a balance below {answer.sell_lot} in one order",
        "stamp duty": f"buy {answer.stamp_duty_buy:.3%}, sell {answer.stamp_duty_sell:.3%} of the amount",
        "transfer fee": _transfer(answer),
        "commission": f"at most {answer.commission_cap:.1%}, at least {answer.commission_floor:g} yuan an order",
        "doubtful": "yes: a deciding row is marked so below" if answer.doubtful else "no",
    }
    if answer.st_daily_buy_cap:
        told["daily buy cap"] = f"{answer.st_daily_buy_cap:,} shares an account a day"
    if answer.order_max:
        told["largest order"] = f"{answer.order_max:,} shares"
    rows = pl.DataFrame({"": list(told), "answer": list(told.values())})
    show_table(rows, title=f"{answer.symbol} on {answer.date}")
    columns = ("rule", "status", "valid_from", "valid_to", "value", "confidence", "source_name")
    show_table(
        pl.DataFrame(
            [{name: row[name] for name in columns} for row in answer.rules], infer_schema_length=None
        ),
        title="rows of the rule book that decided",
    )
    for remark in answer.remarks:
        say(common, remark)


def _yuan(price: float | None) -> str:
    return "not given" if price is None else f"{price:.2f}"


def _limit(price: float | None, answer: RuleAnswer) -> str:
    if price is not None:
        return f"{price:.2f}"
    return "no limit this session" if answer.no_limit else "give --prev-close for the price"


def _transfer(answer: RuleAnswer) -> str:
    base = "the amount" if answer.transfer_fee_basis == "amount" else "face value"
    inside = "; inside the broker's commission" if answer.transfer_fee_inside_commission else ""
    least = f", at least {answer.transfer_fee_min:g} yuan" if answer.transfer_fee_min else ""
    return f"{answer.transfer_fee:.5%} of {base}, each side{least}{inside}"
