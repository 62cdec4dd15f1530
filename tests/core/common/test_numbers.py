"""Numbers as texts: percentages and significant digits."""

import pytest

from core.common.numbers import percent, signed_percent, significant


def test_a_part_of_one_is_a_percentage_with_a_space():
    assert [percent(0.738), percent(0.738, 1), percent(1.5)] == ["74 %", "73.8 %", "150 %"]


@pytest.mark.parametrize(
    ("part", "decimals", "words"),
    [(0.12, 0, "+12 %"), (-0.074, 1, "−7.4 %"), (0.004, 0, "±0 %"), (-0.0004, 1, "±0.0 %"), (0.0, 0, "±0 %")],
)
def test_a_change_has_its_sign(part, decimals, words):
    assert signed_percent(part, decimals) == words


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [
        (0.663, 2, "0.66"), (0.66, 3, "0.660"), (9.96, 2, "10"), (123.4, 2, "120"), (99.96, 3, "100"),
        (1234.5, 3, "1\u202f230"), (17000.0, 2, "17\u202f000"), (0.0, 3, "0"), (-0.0123, 2, "-0.012"),
    ],
)  # fmt: skip
def test_digits_are_significant_and_there_is_no_exponent(value, digits, words):
    assert significant(value, digits) == words
