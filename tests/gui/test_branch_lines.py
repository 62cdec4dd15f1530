"""The lines beside the cards of a pipeline."""

from gui.editor.branch_lines import lay_out


def test_lanes_of_a_chain_and_of_a_branch() -> None:
    assert lay_out([None, 0, 1, 2]).lane == (0, 0, 0, 0)
    assert lay_out([None, 0, 1, 1, 3]).lane == (0, 0, 0, 1, 1)
    assert lay_out([None, None, 0, 1]).lane == (0, 1, 0, 1)
    busy = lay_out([None, 0, 1, 1, 1, 2])
    assert len({busy.lane[2], busy.lane[3], busy.lane[4]}) == 3
