"""Durations as people read them."""

from core.common.durations import clock, date_and_time, duration, rough_duration, time_left, time_taken


def test_to_the_second():
    assert [duration(s) for s in (4.4, 75, 7300)] == ["4 s", "1 min 15 s", "2 h 01 min"]


def test_rounded():
    assert [rough_duration(s) for s in (0.1, 61, 300, 9000)] == ["1 s", "61 s", "5 min", "2.5 h"]


def test_time_left():
    assert (time_left(None), time_left(300)) == ("", "about 5 min left")


def test_time_taken():
    assert (time_taken(None), time_taken(3.21), time_taken(75)) == ("", "3.2 s", "1 min 15 s")


def test_clock():
    assert [clock(s) for s in (45, 725, 3723)] == ["0:45", "12:05", "1:02:03"]


def test_no_date():
    assert date_and_time(0) == ""
