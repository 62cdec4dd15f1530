"""Texts from files: no formulas, no HTML, nothing that a terminal obeys."""

import io

import pytest

from core.common.shown_text import SafeCsv, csv_cell, harmless, plain_markdown, shortened, some_of


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x")']
)
def test_what_begins_like_a_formula_becomes_text(text):
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "-1.5", "+3", "-1e-5", "-", "a=b", "cat", "-inf", "-12%"])
def test_numbers_and_names_stay(text):
    assert csv_cell(text) == text


def test_a_csv_file_keeps_numbers_as_they_are():
    file = io.StringIO()
    SafeCsv(file).writerow(["=evil()", -0.5, None, "-0.5", "a,b"])
    assert file.getvalue() == '\'=evil(),-0.5,,-0.5,"a,b"\n'


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "a\rb",
        "a\bb",
        "\x9b2J",
        "\u202egnp.exe",
        "\u2066x\u2069",
        "\x7f",
        "\0",
    ],
)
def test_what_a_terminal_obeys_is_shown_as_a_sign(text):
    shown = harmless(text)
    assert "\N{REPLACEMENT CHARACTER}" in shown and not {*text} & {*"\x1b\r\b\x9b\u202e\u2066\x7f\0"} & {
        *shown
    }


@pytest.mark.parametrize(
    "text", ["two\nlines\twith tabs", "a,b\r\nc,d\r\n", "Gänseblümchen 猫 🐈", "العربية\u200f"]
)
def test_other_text_stays(text):
    assert harmless(text) == text


def test_markdown_of_names_makes_no_html_links_or_entities():
    text = plain_markdown("<script>x</script> ![p](http://t) [l](javascript:x) &lt; a & b, 1 < 2 | `x`")
    assert (
        text == "&lt;script>x&lt;/script> ![p]\\(http://t) [l]\\(javascript:x) &amp;lt; a & b, 1 &lt; 2 | `x`"
    )


def test_long_values_and_lists_are_cut():
    assert shortened("x" * 500).endswith("… (502 characters)") and len(shortened("x" * 500)) < 150
    assert some_of("abc") == "a, b, c"
    assert some_of(str(number) for number in range(30)).endswith("22, 23 and 6 more")
