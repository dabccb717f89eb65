"""How a task of the SDK ends in a pod: what it gave and what it told is there, whatever it left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.operator import endings
from tests.operator.sdk import apply, bring, made
from tests.operator.tasks import Tasks

pytestmark = pytest.mark.cluster

CODE = Path(endings.__file__)
BUFFERED = {"name": "PYTHONUNBUFFERED", "value": ""}
"""As in an image that does not set it."""
CROWD = 7
"""Containers that a mesh and others have put into the pod: kubelet keeps 12 KiB / 8 of each message."""


@pytest.fixture
def end(tasks: Tasks, unique: Callable[[str], str]) -> Callable[..., tuple[dict[str, Any], str]]:
    """Runs a function of `endings` to its end; the task's status and the log of its pod."""

    def end(function: str, crowd: int = 0, **parameters: Any) -> tuple[dict[str, Any], str]:
        name = unique("ending")
        document = made(CODE, function, name)
        bring(tasks.kube, CODE, document)
        pod = document["spec"]["podTemplate"]["spec"]
        (main,) = pod["containers"]
        main["env"] += [BUFFERED, {"name": "LONGTASK_EXIT_SECONDS", "value": "1"}]
        quiet = {**{key: main[key] for key in ("image", "securityContext")}, "command": ["true"]}
        pod["initContainers"] = [{**quiet, "name": f"injected-{number}"} for number in range(crowd)]
        apply(tasks.kube, document)
        uid = tasks.start(name, name, parameters)
        return tasks.wait(name, "Succeeded", "Failed"), tasks.log(uid)

    return end


End = Callable[..., tuple[dict[str, Any], str]]


def test_a_result_does_not_wait_for_the_threads_that_the_work_left(end: End) -> None:
    status, log = end("leave_a_pool")
    assert (status["phase"], status["result"]["value"]) == ("Succeeded", {"done": 1})
    assert "thread left-pool_0" in log


def test_a_failure_is_told_as_such_while_threads_are_left(end: End) -> None:
    status, _ = end("leave_a_pool", fails=True)
    assert (status["phase"], status["failure"]["reason"], status["failure"]["exitCode"]) == ("Failed", "Error", 1)
    assert "column price is missing" in status["failure"]["message"]


def test_an_exit_code_that_a_system_would_cut_to_0_is_a_failure(end: End) -> None:
    status, _ = end("exit_with", code=512)
    assert (status["phase"], status["failure"]["exitCode"]) == ("Failed", 2)
    assert "exit code 512" in status["failure"]["message"]


def test_what_was_printed_before_the_process_died_is_in_the_record(end: End) -> None:
    status, log = end("print_and_die")
    assert (status["phase"], status["failure"]["exitCode"]) == ("Failed", 3)
    assert "file 4 has 900 million rows" in log
    assert "file 4 has 900 million rows" in status["failure"]["logTail"]


def test_the_processes_of_a_pool_and_the_caches_of_libraries_have_their_place(end: End) -> None:
    status, log = end("fan_out")
    assert status["phase"] == "Succeeded", (status, log)
    assert status["result"]["value"] == {"parts": [0, 1, 2]}
    assert "progress" not in status


def test_a_default_that_is_computed_at_import_does_not_keep_a_task_from_running(end: End) -> None:
    status, log = end("default_of_this_moment")
    assert status["phase"] == "Succeeded", (status, log)


@pytest.mark.parametrize("size", [1023, 2000, 4000])
def test_a_result_arrives_whole_from_a_pod_of_many_containers(end: End, size: int) -> None:
    status, log = end("give", crowd=CROWD, size=size)
    assert status["phase"] == "Succeeded", (status, log)
    assert status["result"]["value"] == {"text": "x" * (size - len('{"text":""}'))}
