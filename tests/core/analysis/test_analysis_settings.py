"""Settings side by side."""

from core.analysis.settings_table import Line, SettingRow, as_markdown, side_by_side

FIRST = [Line("Data", "Set", "cifar"), Line("Train", "", "FP32"), Line("Train", "Epochs", "6")]
SECOND = [*FIRST, Line("Prune", "", "Pruned 30 %"), Line("Prune", "Ratio", "0.3")]
THIRD = [
    *FIRST[:2],
    Line("Train", "Epochs", "9"),
    Line("Prune", "", "Pruned 50 %"),
    Line("Prune", "Ratio", "0.5"),
]


def test_only_what_differs_is_shown():
    found = side_by_side([SECOND, THIRD])
    assert [(row.group, row.label, row.values) for row in found] == [
        ("Train", "Epochs", ("6", "9")), ("Prune", "", ("Pruned 30 %", "Pruned 50 %")), ("Prune", "Ratio", ("0.3", "0.5")),
    ]  # fmt: skip


def test_a_stage_that_is_missing_is_one_line_and_not_one_per_setting():
    assert side_by_side([FIRST, SECOND]) == [SettingRow("Prune", "", (None, "Pruned 30 %"))]


def test_everything_can_be_shown():
    assert len(side_by_side([FIRST, SECOND], only_different=False)) == 5


def test_as_markdown():
    text = as_markdown(["A", "B|C"], side_by_side([FIRST, SECOND]))
    assert text == "| Setting | A | B\\|C |\n|---|---|---|\n| Prune | — | Pruned 30 % |"
