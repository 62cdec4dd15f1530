"""The lines beside the cards of a pipeline."""

from gui.editor.branch_lines import lay_out


def test_lanes_of_a_chain_and_of_a_branch() -> None:
    assert lay_out([None, 0, 1, 2]).lane == (0, 0, 0, 0)
    assert lay_out([None, 0, 1, 1, 3]).lane == (0, 0, 0, 1, 1)
    assert lay_out([None, None, 0, 1]).lane == (0, 1, 0, 1)
    busy = lay_out([None, 0, 1, 1, 1, 2])
    assert len({busy.lane[2], busy.lane[3], busy.lane[4]}) == 3


def test_many_continuations_share_a_line() -> None:
    many = lay_out([None, 0, *[1] * 10])
    assert many.count == 3
    assert {edge.trunk for edge in many.edges if edge.child > 2} == {1}
    assert many.lane == (0, 0, 0, *[2] * 8, 1), "the line ends in the last one"


def test_no_line_runs_through_the_point_of_another_stage() -> None:
    forest = lay_out([None, None, None, 0, 1, 2, 5, 5, 5, 7, 7, 0, 5, 9, 8, 4, 1])
    for edge in forest.edges:
        between = range(edge.parent + 1, edge.child)
        assert edge.trunk not in [forest.lane[row] for row in between], edge
