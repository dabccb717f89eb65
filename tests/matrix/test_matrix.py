"""Each shape of a pod, each way to end: what is told is what the table says. Without a cluster."""

import pytest

from tests.matrix.cells import ENDS, cells
from tests.matrix.table import expected, told

EXPECTED = expected()


@pytest.mark.parametrize("end_name", ENDS)
def test_what_is_told_is_what_the_table_says(end_name: str) -> None:
    assert told(end_name) == EXPECTED[end_name]


def test_the_table_has_every_cell_and_no_other() -> None:
    listed = {(end_name, shape) for end_name in EXPECTED for row in EXPECTED[end_name] for shape in row[0].split(", ")}
    assert listed == {(cell.end_name, cell.shape) for cell in cells()}


def test_every_recording_is_of_a_cell() -> None:
    recorded = {cell.recorded for cell in cells()}
    assert {path for cell in cells() for path in cell.recorded.parent.glob("*.gz")} == recorded
