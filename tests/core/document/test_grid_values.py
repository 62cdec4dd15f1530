"""Values that a grid begins with."""

from typing import Any

import pytest

from core.common.declarations import declarations
from core.document.grid_values import values_around
from core.stages.prune_channels import PruneChannelsParams

FIELDS = {field.name: field for field in declarations(PruneChannelsParams)}


@pytest.mark.parametrize(
    ("name", "present", "values"),
    [
        ("ratio", 0.65, [0.55, 0.65, 0.75]),
        ("ratio", 0.05, [0.025, 0.05, 0.075]),
        ("ratio", 0.98, [0.97, 0.98, 0.99]),
        ("round_to", 8, [6, 8, 10]),
        ("round_to", 1, [1, 3, 5]),
        ("round_to", 64, [60, 62, 64]),
        ("prune_fem", False, [False, True]),
    ],
)
def test_the_present_value_stands_in_the_middle(name: str, present: Any, values: list[Any]) -> None:
    assert values_around(FIELDS[name], present) == values


def test_every_field_that_a_grid_can_vary_begins_with_values_that_it_takes() -> None:
    for field in FIELDS.values():
        if field.kind in ("int", "float", "bool", "choice"):
            for value in values_around(field, field.default):
                PruneChannelsParams.parse({field.name: value})
