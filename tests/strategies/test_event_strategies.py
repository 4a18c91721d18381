"""The five hypotheses on hand-worked panels; expected books written out by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from strategies import AsicAdoptionDrift, LeaderSatellites, MacroOverlay, RackDelayExit, ValueChainTilt
from strategies.book import INVESTED

Books = Callable[..., dict[int, dict[str, float]]]


def on(session: int, column: str, value: float, *symbols: str) -> dict[tuple[int, str], dict[str, float]]:
    return {(session, s): {column: value} for s in symbols}


class TestAsicAdoptionDrift:
    ABC = {  # noqa: RUF012 - read only
        "A": {"exposure": 1.0, "segment": "full_chain"},
        "B": {"exposure": 0.6},
        "C": {"exposure": 0.2},
    }

    def test_holds_the_exposed_for_hold_sessions(self, make_panel: Any, books: Books) -> None:
        news = on(5, "new_asic_adoption", 0.8, "A", "B", "C")
        got = books(AsicAdoptionDrift(hold=4, max_weight=1.0).targets(make_panel(self.ABC, news=news)))
        # C is below min_exposure; decided on 5, so bought at the open of 6; dropped on 9, so sold at that of 10
        assert got == {
            5: {"A": pytest.approx(INVESTED / 1.6), "B": pytest.approx(INVESTED * 0.6 / 1.6)},
            9: {"A": 0.0, "B": 0.0},
        }

    def test_no_company_exceeds_the_cap(self, make_panel: Any, books: Books) -> None:
        news = on(5, "new_asic_adoption", 0.8, "A", "B")
        got = books(AsicAdoptionDrift(hold=4).targets(make_panel(self.ABC, news=news)))
        assert got[5] == {"A": 0.25, "B": 0.25}

    def test_news_inside_the_stretch_extends_it(self, make_panel: Any, books: Books) -> None:
        news = on(5, "new_asic_adoption", 0.8, "A") | on(7, "new_asic_adoption", 0.3, "A")
        got = books(AsicAdoptionDrift(hold=4).targets(make_panel(self.ABC, news=news)))
        assert got == {5: {"A": 0.25}, 11: {"A": 0.0}}

    def test_a_supplier_win_counts_unless_told_otherwise(self, make_panel: Any, books: Books) -> None:
        panel = make_panel(self.ABC, news=on(5, "new_supplier_win", 0.9, "B"))
        assert books(AsicAdoptionDrift(hold=3).targets(panel)) == {5: {"B": 0.25}, 8: {"B": 0.0}}
        assert books(AsicAdoptionDrift(hold=3, wins=False).targets(panel)) == {}

    def test_bad_news_buys_nothing(self, make_panel: Any, books: Books) -> None:
        news = on(5, "new_asic_adoption", -0.8, "A", "B")
        assert books(AsicAdoptionDrift().targets(make_panel(self.ABC, news=news))) == {}

    def test_news_of_the_warm_up_is_held_from_the_first_active_date(
        self, make_panel: Any, books: Books
    ) -> None:
        news = on(5, "new_asic_adoption", 0.8, "A")
        panel = make_panel(self.ABC, active_from=7, news=news)
        assert books(AsicAdoptionDrift(hold=4).targets(panel)) == {7: {"A": 0.25}, 9: {"A": 0.0}}
        assert books(AsicAdoptionDrift(hold=2).targets(panel)) == {}


class TestRackDelayExit:
    AB = {"A": {}, "B": {}}  # noqa: RUF012 - read only
    IN = {"A": INVESTED / 2, "B": INVESTED / 2}  # noqa: RUF012
    OUT = {"A": 0.0, "B": 0.0}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("news", "expected"),
        [
            pytest.param({}, {0: IN}, id="no news, hold"),
            pytest.param(
                on(4, "new_rack_delay", -0.8, "A"), {0: IN, 4: OUT, 14: IN}, id="delay, back after the wait"
            ),
            pytest.param(
                on(4, "new_chip_delay", -0.6, "B") | on(8, "new_rack_ramp", 0.7, "A"),
                {0: IN, 4: OUT, 8: IN},
                id="delay, back on the ramp",
            ),
            pytest.param(
                on(4, "new_rack_delay", -0.8, "A") | on(9, "new_chip_delay", -0.6, "A"),
                {0: IN, 4: OUT, 19: IN},
                id="a second delay starts the wait again",
            ),
            pytest.param(
                on(4, "new_rack_delay", -0.8, "A") | on(4, "new_rack_ramp", 0.7, "B"),
                {0: IN, 4: OUT, 14: IN},
                id="told together, the delay counts",
            ),
            pytest.param(
                on(4, "new_rack_ramp", 0.7, "A") | on(6, "new_rack_delay", -0.8, "A"),
                {0: IN, 6: OUT, 16: IN},
                id="an earlier ramp does not excuse",
            ),
            pytest.param(on(4, "new_rack_delay", 0.8, "A"), {0: IN}, id="a delay denied is no delay"),
            pytest.param(on(0, "new_rack_delay", -0.8, "A"), {10: IN}, id="out from the first evening"),
        ],
    )
    def test_steps_aside_and_comes_back(
        self, make_panel: Any, books: Books, news: Any, expected: dict[int, dict[str, float]]
    ) -> None:
        assert books(RackDelayExit(wait=10).targets(make_panel(self.AB, news=news))) == expected

    def test_a_listing_joins_the_basket_when_old_enough(self, make_panel: Any, books: Books) -> None:
        got = books(RackDelayExit(min_history=5).targets(make_panel({"A": {}, "B": {"first": 10}})))
        assert got == {0: {"A": INVESTED}, 14: {"A": INVESTED / 2, "B": INVESTED / 2}}


class TestLeaderSatellites:
    NAMES = {  # noqa: RUF012 - read only
        "A": {"exposure": 1.0, "segment": "cdu"},
        "B": {"exposure": 0.9, "segment": "full_chain"},
        "C": {"exposure": 0.5},
        "D": {"exposure": 0.5},
    }

    def test_the_leader_is_the_full_chain_company(self, make_panel: Any, books: Books) -> None:
        assert books(LeaderSatellites().targets(make_panel(self.NAMES))) == {0: {"B": 0.5}}

    def test_without_a_full_chain_the_most_exposed_leads(self, make_panel: Any, books: Books) -> None:
        names = {k: {**v, "segment": "cdu"} for k, v in self.NAMES.items()}
        assert books(LeaderSatellites().targets(make_panel(names))) == {0: {"A": 0.5}}

    def test_a_leader_may_be_named(self, make_panel: Any, books: Books) -> None:
        panel = make_panel({**self.NAMES, "301018.SZ": {"exposure": 0.1}})
        for spelling in ("301018.SZ", "sz301018", "301018"):
            got = books(LeaderSatellites(leader=spelling, leader_weight=0.3).targets(panel))
            assert got == {0: {"301018.SZ": 0.3}}
        assert books(LeaderSatellites(leader="600519").targets(panel)) == {}

    def test_satellites_are_those_with_the_best_news(self, make_panel: Any, books: Books) -> None:
        # session 0 is a Monday: looked at on 0, 5, 10, ...
        news = {
            (5, "C"): {"score_earnings": 0.2, "score_supplier_win": 0.3},
            (5, "A"): {"score_earnings": 0.4},
            (5, "D"): {"score_earnings": -0.4},
            (5, "B"): {"score_earnings": 0.9},  # the leader is no satellite
            (7, "D"): {"score_supplier_win": 0.9},  # a Wednesday: not looked at
            (10, "A"): {"score_earnings": 0.1},
            (10, "D"): {"score_earnings": 0.1},  # less exposed than A
            (15, "C"): {"score_earnings": 0.1},
            (15, "D"): {"score_earnings": 0.1},  # as exposed as C: the lower symbol first
        }
        one = LeaderSatellites(satellites=1)
        part = INVESTED - 0.5
        assert books(one.targets(make_panel(self.NAMES, news=news))) == {
            0: {"B": 0.5},
            5: {"B": 0.5, "C": pytest.approx(part)},
            10: {"B": 0.5, "A": pytest.approx(part), "C": 0.0},
            15: {"B": 0.5, "A": 0.0, "C": pytest.approx(part)},
            20: {"B": 0.5, "C": 0.0},
        }
        two = LeaderSatellites(satellites=2)
        got = books(two.targets(make_panel(self.NAMES, news=news)))
        assert got[5] == {"B": 0.5, "A": pytest.approx(part / 2), "C": pytest.approx(part / 2)}


class TestValueChainTilt:
    def test_value_is_split_over_its_makers(self, make_panel: Any, books: Books) -> None:
        def told(share: float) -> list[float | None]:
            return [None] * 4 + [share] * 26

        panel = make_panel(
            {
                "A": {"segment": "full_chain", "exposure": 1.0, "value_share": told(0.8)},
                "B": {"segment": "cold_plate", "exposure": 0.5, "value_share": told(0.45)},
                "C": {"segment": "cdu", "exposure": 0.8, "value_share": told(0.2)},
                "D": {"segment": "cdu", "exposure": 0.2, "value_share": told(0.2)},
                "E": {"segment": "datacenter", "exposure": 0.2, "value_share": None},
            }
        )
        # plates 0.45 over A (1.0) and B (0.5); units 0.2 over A (1.0), C (0.8) and D (0.2); the other 0.15 A's alone
        raw = {
            "A": 0.45 * 1.0 / 1.5 + 0.2 * 1.0 / 2.0 + 0.15,
            "B": 0.45 * 0.5 / 1.5,
            "C": 0.2 * 0.8 / 2.0,
            "D": 0.2 * 0.2 / 2.0,
        }
        assert sum(raw.values()) == pytest.approx(0.8)
        assert books(ValueChainTilt().targets(panel)) == {
            0: dict.fromkeys("ABCDE", INVESTED / 5),
            4: {k: pytest.approx(INVESTED * v / 0.8) for k, v in raw.items()} | {"E": 0.0},
        }
        half = books(ValueChainTilt(tilt=0.5).targets(panel))[4]
        assert half["A"] == pytest.approx(INVESTED * (0.5 * raw["A"] / 0.8 + 0.5 / 5))
        assert half["E"] == pytest.approx(INVESTED * 0.5 / 5)

    def test_links_alone_need_no_full_chain(self, make_panel: Any, books: Books) -> None:
        panel = make_panel(
            {"B": {"segment": "cold_plate", "value_share": 0.3}, "C": {"segment": "cdu", "value_share": 0.1}}
        )
        assert books(ValueChainTilt().targets(panel)) == {
            0: {"B": pytest.approx(INVESTED * 0.75), "C": pytest.approx(INVESTED * 0.25)}
        }

    def test_a_full_chain_alone_takes_all(self, make_panel: Any, books: Books) -> None:
        panel = make_panel({"A": {"segment": "full_chain", "value_share": 0.8}, "E": {"segment": "chip"}})
        assert books(ValueChainTilt().targets(panel)) == {0: {"A": pytest.approx(INVESTED)}}

    def test_reset_each_quarter(self, make_panel: Any, books: Books, weekdays: list[dt.date]) -> None:
        april = next(i for i, d in enumerate(weekdays) if d.month == 4)
        got = books(ValueChainTilt().targets(make_panel({"A": {}, "B": {}}, n=april + 10)))
        assert got == {i: {"A": INVESTED / 2, "B": INVESTED / 2} for i in (0, april)}


class TestMacroOverlay:
    AB = {"A": {"exposure": 1.0}, "B": {"exposure": 0.5}}  # noqa: RUF012 - read only

    @staticmethod
    def both(gross: float) -> dict[str, Any]:
        return dict.fromkeys("AB", pytest.approx(INVESTED * gross / 2))

    def test_gross_exposure_follows_the_sum_of_scores_in_steps(self, make_panel: Any, books: Books) -> None:
        # a macro event of push p reaches A with p and B with p / 2: per unit of exposure it is p again
        def macro(session: int, **pushes: float) -> dict[tuple[int, str], dict[str, float]]:
            return {
                (session, s): {f"score_{k}": v * e for k, v in pushes.items()}
                for s, e in (("A", 1.0), ("B", 0.5))
            }

        news = (
            macro(3, rate_hike=-0.3)  # 0.75 - 0.15 = 0.60, nearest quarter 0.50
            | macro(4, rate_hike=-0.2)  # 0.65, nearest 0.75: back to neutral
            | macro(6, rate_hike=-0.9, bank_failure=-0.4)  # 0.10: the floor
            | macro(7, rate_cut=0.3, national_tech_plan=0.3)  # 1.05: the ceiling
        )
        assert books(MacroOverlay().targets(make_panel(self.AB, news=news))) == {
            0: self.both(0.75),
            3: self.both(0.5),
            4: self.both(0.75),
            6: self.both(0.25),
            7: self.both(1.0),
            8: self.both(0.75),
        }

    def test_a_floor_of_nothing_sells_all(self, make_panel: Any, books: Books) -> None:
        news = on(3, "score_tariff", -2.0, "A", "B")
        got = books(MacroOverlay(floor=0.0).targets(make_panel(self.AB, news=news)))
        assert got[3] == {"A": 0.0, "B": 0.0}
