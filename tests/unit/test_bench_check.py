"""What `make bench-check` calls worse."""

import pytest

from bench.check import worse

BEFORE = {"writes_per_task": 2.0, "reads_per_task": 2.0, "operator_cpu_to_floor": 0.16, "tasks_per_s": 30}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({}, []),
        ({"tasks_per_s": 1}, []),
        ({"writes_per_task": 2.5, "operator_cpu_to_floor": 0.2}, []),
        ({"writes_per_task": 2.51}, ["writes of the operator a task: 2.51, was 2.0"]),
        ({"reads_per_task": 3.0}, ["reads of the operator a task: 3.0, was 2.0"]),
        (
            {"operator_cpu_to_floor": 0.21},
            ["CPU of the operator a task, to that of all servers for a task of the floor: 0.21, was 0.16"],
        ),
    ],
)
def test_a_ratio_that_rises_by_more_than_a_quarter_is_worse(now: dict[str, float], expected: list[str]) -> None:
    assert worse(BEFORE, BEFORE | now) == expected
