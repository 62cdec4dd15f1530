"""A choice from a catalogue behaves like a choice of fixed values."""

from typing import Annotated, Literal

import pytest
from pydantic import ValidationError

from core.common.declarations import declarations
from core.common.params import OneOf, Params, param
from core.common.validation_messages import in_words

FRUIT = {"apple": "Red.", "plum": "Blue."}


class Fixed(Params):
    fruit: Literal["apple", "plum"] = param("apple", "Fruit", "Which.", choices=FRUIT)
    stone: bool = param(False, "Stone", "Take it out.", when="fruit=plum")


class Open(Params):
    fruit: Annotated[str, OneOf(lambda: FRUIT)] = param("apple", "Fruit", "Which.")
    stone: bool = param(False, "Stone", "Take it out.", when="fruit=plum")


@pytest.mark.parametrize("value", ["pear", "", 3, None, [], {"a": 1}, True])
def test_a_wrong_value_is_refused_in_the_words_of_a_literal(value: object) -> None:
    words = []
    for model in (Fixed, Open):
        with pytest.raises(ValidationError) as caught:
            model.parse({"fruit": value})
        words.append([str(problem) for problem in in_words(caught.value)])
    assert words[0] == words[1]


def test_the_form_and_the_file_see_the_same() -> None:
    assert declarations(Fixed) == declarations(Open)
    assert Open.parse({"fruit": "plum"}).model_dump(mode="json") == {"fruit": "plum", "stone": False}
    assert Open.parse({"fruit": "plum"}).model_dump_json() == Fixed.parse({"fruit": "plum"}).model_dump_json()
    assert Open.model_json_schema()["properties"]["fruit"]["enum"] == ["apple", "plum"]


def test_what_is_registered_later_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = declarations(Open)[0].choices
    monkeypatch.setitem(FRUIT, "cherry", "Small.")
    assert declarations(Open)[0].choices == (*before, ("cherry", "Small."))
    assert Open.parse({"fruit": "cherry"}).fruit == "cherry"
    with pytest.raises(ValidationError) as caught:
        Open.parse({"fruit": "pear"})
    assert "'apple', 'plum' or 'cherry'" in str(in_words(caught.value)[0])


def test_a_condition_on_it_is_checked_against_the_catalogue() -> None:
    with pytest.raises(TypeError, match="'when' expects one of"):

        class Wrong(Params):
            fruit: Annotated[str, OneOf(lambda: FRUIT)] = param("apple", "Fruit", "Which.")
            stone: bool = param(False, "Stone", "Take it out.", when="fruit=pear")
