"""What to hold because of it: polars definitions over the panel, one hypothesis a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.asic_adoption_drift import AsicAdoptionDrift
    from strategies.buy_and_hold import BuyAndHold
    from strategies.catalogue import ALL, Strategy, describe, make
    from strategies.leader_satellites import LeaderSatellites
    from strategies.macro_overlay import MacroOverlay
    from strategies.momentum import Momentum
    from strategies.panel import build_panel, panel_from_frames
    from strategies.rack_delay_exit import RackDelayExit
    from strategies.value_chain_tilt import ValueChainTilt

__all__ = [
    "ALL",
    "AsicAdoptionDrift",
    "BuyAndHold",
    "LeaderSatellites",
    "MacroOverlay",
    "Momentum",
    "RackDelayExit",
    "Strategy",
    "ValueChainTilt",
    "build_panel",
    "describe",
    "make",
    "panel_from_frames",
]

_ROOMS = {
    "AsicAdoptionDrift": "asic_adoption_drift",
    "BuyAndHold": "buy_and_hold",
    "LeaderSatellites": "leader_satellites",
    "MacroOverlay": "macro_overlay",
    "Momentum": "momentum",
    "RackDelayExit": "rack_delay_exit",
    "ValueChainTilt": "value_chain_tilt",
    "build_panel": "panel",
    "panel_from_frames": "panel",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'catalogue')}"), name)
