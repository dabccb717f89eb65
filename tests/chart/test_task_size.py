"""A task that is far too large is never stored."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from longtask_api import constants
from tests.chart.conftest import Document, Run
from tests.kube import Kube
from tests.patience import PATIENCE

NAMESPACE = "longtask-chart-task-size"
TOO_LARGE = "65536 bytes are allowed: pass a reference to what is larger"


@pytest.fixture(scope="module")
def create(kubectl: Run, render: Callable[..., list[Document]], cluster: Kube) -> Iterator[Callable[[Any], str]]:
    """Tries to create a task with these parameters under the policy; what the API server answered."""
    made = [
        each
        for each in render({"taskNamespace": {"name": NAMESPACE}})
        if each["kind"] == "Namespace" or "task-size" in each["metadata"]["name"]
    ]
    assert len(made) == 3
    documents = yaml.safe_dump_all(made)
    applied = kubectl("apply", "-f", "-", stdin=documents)
    assert applied.returncode == 0, applied.stdout

    def attempt(parameters: Any) -> str:
        task = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TASK_KIND,
            "metadata": {"name": "large"},
            "spec": {"templateRef": {"name": "anything"}, "parameters": parameters},
        }
        path = f"/apis/{constants.API_VERSION}/namespaces/{NAMESPACE}/{constants.TASK_PLURAL}?dryRun=All"
        return kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(task)).stdout

    deadline = time.monotonic() + PATIENCE
    while TOO_LARGE not in (answer := attempt({"x": "y" * 200_000})):  # a policy is in force a moment after it was made
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    yield attempt
    kubectl("delete", "--wait=false", "-f", "-", stdin=documents)


@pytest.mark.parametrize(
    "parameters",
    [{"x": "y" * 1_000_000}, {"x": [[]] * 100_000}, {f"n{n}": n for n in range(20_000)}, {"x": {"y": [1] * 100_000}}],
    ids=["text", "lists", "names", "nested"],
)
def test_parameters_far_beyond_the_limit_are_refused(create: Callable[[Any], str], parameters: Any) -> None:
    assert TOO_LARGE in create(parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"x": "y" * (constants.MAX_PARAMETERS_BYTES - 9)},
        {"x": [[]] * 16_000},
        {"x": [None, True, 1.5, "é", {"a": []}] * 2000},
        {"x": "\0" * 10_000},
    ],
    ids=["none", "text", "lists", "all-kinds", "escapes"],
)
def test_parameters_within_the_limit_are_not(create: Callable[[Any], str], parameters: Any) -> None:
    answer = create(parameters)
    assert '"kind":"LongTask"' in answer.replace(" ", ""), answer[:500]
