"""Arguments that make no sense are refused in a sentence with exit status 2."""

import pytest

from core.commands.main import main
from core.commands.terminal import say_details

BAD = {
    "an unknown device": (["run", "quick-tour", "--device", "foo"], "expected auto, cpu, cuda or cuda:N, received 'foo'"),
    "negative threads": (["run", "quick-tour", "--threads", "-3"], "expected a whole number from 0 to 1024, received '-3'"),
    "threads in words": (["check", "quick-tour", "--threads", "two"], "expected a whole number from 0 to 1024"),
    "endless threads": (["check", "quick-tour", "--threads", "9" * 5000], "expected a whole number from 0 to 1024"),
    "no watts": (["check", "quick-tour", "--core-watts", "0"], "expected a number from 0.001 to 1000, received '0'"),
    "watts that are none": (["check", "quick-tour", "--core-watts", "nan"], "expected a number from 0.001 to 1000"),
    "a negative size": (["verify", "m.onnx", "--data", "d", "--size", "-4"], "expected a whole number from 1 to 4096"),
    "an endless mean": (["verify", "m.onnx", "--data", "d", "--mean", "inf"], "expected a number from -1000 to 1000"),
    "a deviation of nothing": (["verify", "m.onnx", "--data", "d", "--std", "0"], "expected a number from 1e-06 to 1000"),
    "no batch": (["export", "r", "--stage", "s", "--out", "o", "--batch", "0"], "expected a whole number from 1 to 4096"),
    "a negative operator set": (["export", "r", "--stage", "s", "--out", "o", "--opset", "-1"], "expected a whole number from 1"),
    "no threads to measure on": (["profile", "m.onnx", "--threads", "0"], "expected a whole number from 1 to 1024"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_an_argument_that_makes_no_sense_is_refused_in_a_sentence(case, capsys):
    arguments, words = BAD[case]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and words in said and "Traceback" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "x" * 5000],
        ["check", "/dev/zero"],
        ["compare", "\udcff"],
        ["attach", "../" * 2000],
        ["trust", "/dev/zero"],
    ],
)
def test_paths_that_lead_nowhere_end_in_a_sentence(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ") and "Traceback" not in said and "mistake" not in said


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_plain_text_is_no_pipeline(command, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    (tmp_path / "notes.txt").write_text("Buy milk: today: yes\n", encoding="utf-8")
    assert main([command, str(tmp_path / "notes.txt")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert (
        said.startswith("Error: notes.txt is not a pipeline file of Espalier.") and "espalier recipes" in said
    )


def test_a_path_in_another_encoding_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    assert main(["verify", "m.onnx", "--data", "caf\udce9"]) == 2
    assert capsys.readouterr().err.split() == [
        "Error:",
        "Expected",
        "names",
        "of",
        "files",
        "and",
        "folders",
        "in",
        "UTF-8,",
        "received",
        "'caf\\xe9',",
        "which",
        "is",
        "in",
        "another",
        "encoding.",
        "Rename",
        "it.",
    ]


def test_what_nobody_foresaw_is_a_sentence_and_stands_in_the_log(capsys, tmp_path, monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError("division by \x1b[31mzero")

    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    monkeypatch.setattr("core.document.recipes.recipes", fail)
    assert main(["recipes"]) == 1
    said = capsys.readouterr().err
    assert "a mistake that nobody foresaw (ZeroDivisionError)" in said and "Traceback" not in said
    log = (tmp_path / "logs" / "espalier.log").read_text()
    assert "Traceback" in log and "\x1b" not in log


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ("head.weight: the network has (10, 64), the file (5, 64)\nbody.x: missing in the file", True),
        ("", False),
        ("Traceback (most recent call last):\n  File ...", False),
        ("UnpicklingError('invalid load key')", False),
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model", False),
        ("[Errno 2] No such file", False),
        ("/src/graph.cc:123 bad node", False),
    ],
)
def test_details_are_shown_where_they_are_words_of_ours(details, shown, capsys):
    say_details(details)
    assert (details.splitlines()[0] in capsys.readouterr().err if details else False) is shown
