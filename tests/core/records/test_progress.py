"""How far a run is, and that only what this process did counts towards the speed."""

from collections.abc import Callable

import pytest

from core.records import progress
from core.records.events import Event, Progress
from core.records.progress import Meter


@pytest.fixture
def progress_after(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Progress]:
    """A run of two stages of 100 and 300 units; gives what is said after the first has got to these fractions.

    Each (second, fraction) sets the clock and tells the meter.
    """
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def after(*steps: tuple[float, float]) -> Progress:
        now[0], events = 0.0, list[Event]()
        meter = Meter(["first", "second"], [100.0, 300.0], events.append)
        meter.begin(0)
        for second, fraction in steps:
            now[0] = second
            meter.update(fraction)
        last = events[-1]
        assert isinstance(last, Progress)
        return last

    return after


def test_the_rate_so_far_says_how_long_the_rest_takes(progress_after: Callable[..., Progress]) -> None:
    last = progress_after((0.1, 0.0), (10.0, 0.5))  # 50 units in 10 s: 5 a second
    assert (last.stage_fraction, last.run_fraction) == (0.5, 0.125)
    assert last.stage_seconds_left == pytest.approx(10) and last.run_seconds_left == pytest.approx(70)


def test_what_was_there_before_does_not_count_towards_the_speed(
    progress_after: Callable[..., Progress],
) -> None:
    last = progress_after((0.1, 0.6), (10.0, 0.8))  # a training that goes on at 60 %: 20 units in 10 s
    assert last.stage_seconds_left == pytest.approx(10) and last.run_seconds_left == pytest.approx(160)
