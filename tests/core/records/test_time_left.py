"""How far a run is and how long it still takes: training and what comes after it apart, and only from what was done here."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from core.records.events import Event, Progress
from core.records.time_left import Meter, StagePlan

FIRST, SECOND = StagePlan("first", 1000, 10, 20.0), StagePlan("second", 3000, 30, 20.0)
FILE = StagePlan("file", 0, 0, 30.0)


class Run:
    """A meter on a clock that the test sets."""

    def __init__(self, *plans: StagePlan):
        self.now, self.said = 0.0, list[Event]()
        self.meter = Meter(plans, self.said.append, lambda: self.now)

    def at(self, second: float, act: Callable[..., None], *arguments: object) -> Progress:
        self.now = second
        act(*arguments)
        last = self.said[-1]
        assert isinstance(last, Progress)
        return last


def test_nothing_is_said_until_an_epoch_is_done() -> None:
    run = Run(FIRST, SECOND)
    run.meter.begin(0)
    run.at(0.1, run.meter.train, 0.0)
    assert run.at(5, run.meter.train, 0.05).run_seconds_left is None
    last = run.at(10.1, run.meter.train, 0.1)  # 100 of 1000 images in 10 s
    assert last.stage_seconds_left == pytest.approx(90 + 20)
    assert last.run_seconds_left == pytest.approx(90 + 20 + 300 + 20)


def test_an_earlier_run_says_it_from_the_beginning_and_is_corrected_by_this_one() -> None:
    plans = [StagePlan("first", 1000, 10, 20.0, 0.05), StagePlan("second", 3000, 30, 20.0, 0.02)]
    run = Run(*plans)
    assert run.at(1, run.meter.begin, 0).run_seconds_left == pytest.approx(50 + 20 + 60 + 20)
    run.at(1, run.meter.train, 0.0)
    last = run.at(11, run.meter.train, 0.1)  # twice as slow as then
    assert last.run_seconds_left == pytest.approx(90 + 20 + 120 + 20)


def test_what_comes_after_training_is_corrected_by_the_stages_before() -> None:
    run = Run(FIRST, SECOND)
    run.meter.begin(0)
    run.at(0, run.meter.train, 0.0)
    run.at(100, run.meter.train, 1.0)
    assert run.at(110, run.meter.follow_up, 0.5).stage_seconds_left == pytest.approx(10)
    run.at(150, run.meter.end, False)  # 40 s instead of 20
    assert run.at(150, run.meter.begin, 1).run_seconds_left == pytest.approx(300 + 40)


def test_what_a_stage_does_before_it_trains_is_learned_with_what_comes_after() -> None:
    run = Run(FIRST, SECOND)
    run.meter.begin(0)
    run.at(30, run.meter.train, 0.0)  # ranking channels
    run.at(130, run.meter.train, 1.0)
    run.at(130, run.meter.follow_up, 0.01)
    run.at(160, run.meter.end, False)  # 30 s and 30 s instead of 20
    assert run.at(160, run.meter.begin, 1).run_seconds_left == pytest.approx(300 + 60)


def test_a_network_that_costs_less_is_expected_to_train_faster() -> None:
    half = StagePlan("half", 1000, 10, 20.0, cost=0.5)
    run = Run(FIRST, half)
    run.meter.begin(0)
    run.at(0, run.meter.train, 0.0)
    last = run.at(10, run.meter.train, 0.1)
    assert last.run_seconds_left == pytest.approx(90 + 20 + 50 + 20)


def test_what_was_there_before_does_not_count_towards_the_speed() -> None:
    run = Run(FIRST)
    run.meter.begin(0)
    run.at(0.1, run.meter.train, 0.6)  # a training that goes on at 60 %
    assert run.at(20.1, run.meter.train, 0.8).stage_seconds_left == pytest.approx(20 + 20)


def test_a_stage_from_the_cache_says_nothing_of_the_others() -> None:
    run = Run(FIRST, FILE, SECOND)
    run.meter.begin(0)
    run.at(1, run.meter.follow_up, 1.0)
    run.at(1, run.meter.end, True)
    assert run.at(1, run.meter.begin, 1).run_seconds_left is None
    assert run.said[-1].stage_seconds_left == pytest.approx(30)  # type: ignore[attr-defined]


def test_the_bar_never_goes_back() -> None:
    run = Run(FIRST, FILE, SECOND)
    for index in range(3):
        run.at(run.now + 1, run.meter.begin, index)
        for step in range(1, 11):
            run.at(run.now + (1 if step < 5 else 9), run.meter.train, step / 10)
        run.at(run.now + 90, run.meter.follow_up, 0.5)
        run.at(run.now + 1, run.meter.end, False)
    fractions = [event.run_fraction for event in run.said if isinstance(event, Progress)]
    assert all(before <= after for before, after in pairwise(fractions)) and fractions[-1] == pytest.approx(1)


def test_making_a_file_that_takes_longer_than_expected_says_how_long() -> None:
    run = Run(FILE, FIRST)
    run.meter.begin(0)
    assert run.at(1, run.meter.train, 0.01).stage_seconds_left == pytest.approx(30 * (1 - 0.005))
    last = run.at(100, run.meter.train, 0.2)
    assert (last.stage_fraction, last.stage_seconds_left) == (pytest.approx(0.1), pytest.approx(400))
    last = run.at(500, run.meter.follow_up, 0.5)
    assert (last.stage_fraction, last.stage_seconds_left) == (pytest.approx(0.75), pytest.approx(30 * 0.25))


def test_the_bars_go_on_when_it_turns_out_that_more_is_left_than_was_thought() -> None:
    """The run's stood at 64 % through a whole training: what came after the first had taken six times what was expected."""
    run = Run(FIRST, StagePlan("second", 300, 3, 20.0), FILE)
    run.meter.begin(0)
    run.at(0, run.meter.train, 0.0)
    run.at(100, run.meter.train, 1.0)
    run.at(100, run.meter.follow_up, 0.01)
    run.at(160, run.meter.follow_up, 0.5)
    run.at(220, run.meter.end, False)
    said = [run.at(220, run.meter.begin, 1)]
    said += [run.at(220 + number, run.meter.train, number / 30) for number in range(31)]
    said += [run.at(251 + 10 * number, run.meter.follow_up, number / 10) for number in range(1, 11)]
    parts = [(one.stage_fraction, one.run_fraction) for one in said]
    assert all(after[0] > before[0] and after[1] > before[1] for before, after in pairwise(parts[1:]))
    run.at(351, run.meter.end, False)
    run.at(351, run.meter.begin, 2)
    run.at(390, run.meter.follow_up, 1.0)
    assert run.at(390, run.meter.end, False).run_fraction == pytest.approx(1.0)


def test_the_bars_do_not_go_back_when_an_epoch_was_faster_than_in_earlier_runs() -> None:
    run = Run(StagePlan("first", 1000, 10, 20.0, 0.9), SECOND)
    run.meter.begin(0)
    run.at(0, run.meter.train, 0.0)
    said = [run.at(second, run.meter.train, second / 100) for second in range(1, 101)]
    said += [run.at(100 + second, run.meter.follow_up, second / 20) for second in range(1, 21)]
    assert all(after.stage_fraction > before.stage_fraction for before, after in pairwise(said))
