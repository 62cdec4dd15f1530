"""A YAML text from anybody is read in a moment or refused in a sentence, with its line."""

import pytest

from core.common import yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
REFUSED = {
    "aliases of aliases": (BOMB, 'at most 200000 values'),
    "an alias within itself": ("a: &a [*a]", "an alias (*) that stands within what it repeats"),
    "a merge of itself": ("a: &a\n  <<: *a", "an alias (*) that stands within what it repeats"),
    "an unknown alias": ("a: *b", "Expected YAML"),
    "lists in lists": ("a: " + "[" * 100_000, "at most 50 deep"),
    "mappings in mappings": ("a: " + "{b: " * 1000, "at most 50 deep"),
    "dashes": ("- " * 100_000, "at most 50 deep"),
    "many values": ("[" + "1," * 300_000 + "]", "at most 200000 values"),
    "a long text": ("a: " + "x" * 8_000_000, "at most 8000000 characters"),
    "a long number": ("a: " + "9" * 5000, "at most 100 digits, received 5000 digits"),
    "a long fraction": ("a: 0." + "1" * 5000, "at most 100 digits"),
    "a standard tag": ('a: !!int "1_0"', "the tag tag:yaml.org,2002:int"),
    "a tag that does not fit": ("a: !!float abc", "the tag tag:yaml.org,2002:float"),
    "a tag before a key": ("!!str a: 1", "the tag tag:yaml.org,2002:str"),
    "a zero byte": ("a: \x00", "the control character U+0000"),
    "an escape code in quotes": ('a: "\\e[2J"', "the control character U+001B"),
    "an escape code as a key": ('"\\e[2J": 1', "the control character U+001B"),
    "half a character": ("a: \ud800", "the control character U+D800"),
    "a list before a colon": ("[a]: 1", "a name before the colon, received a list"),
    "a key twice": ("a: 1\na: 2", "The key 'a' stands here twice"),
    "two documents": ("a: 1\n---\na: 2", "Expected YAML"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_flood_or_mislead_is_refused_in_a_sentence(case):
    text, words = REFUSED[case]
    problems = yaml.parse(text).problems
    assert problems and words in problems[0].message and problems[0].line >= 1


def test_an_alias_repeats_what_it_names():
    parsed = yaml.parse("a: &a {epochs: 2}\nb: *a\nc: [*a, *a]\n")
    assert parsed.problems == []
    assert parsed.content == {"a": {"epochs": 2}, "b": {"epochs": 2}, "c": [{"epochs": 2}] * 2}


@pytest.mark.parametrize("text", [".inf", ".Inf", "-.INF"])
def test_infinity_is_read_however_it_is_written(text):
    assert yaml.parse(text).content == float(text.replace(".", "").lower())


def test_control_characters_of_pasted_text_are_left_out_so_that_it_is_read_again():
    parsed = yaml.parse(yaml.dump({"about": "one\x0cpage\x1b[0m"}))
    assert parsed.problems == [] and parsed.content == {"about": "onepage[0m"}
