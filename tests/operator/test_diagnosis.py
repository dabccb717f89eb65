"""What is told of work that ends badly, and what is left of its log: on real nodes, whose logs are files."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longtask_api.constants import AUDIENCE_TASK_API
from tests.kube import eventually
from tests.operator.conftest import READER
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller
from tests.operator.tasks import WHEN_TOLD, Tasks, container, template_spec

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    quick_end = {"terminationGracePeriodSeconds": 1}
    tasks.template("diagnosed", template_spec(quick_end, retry={"limit": 1}))
    tasks.template("diagnosed-once", template_spec(quick_end))
    tasks.template(
        "diagnosed-small",
        template_spec({"containers": [container(resources={"limits": {"memory": "48Mi"}})], **quick_end}),
    )
    for name, more in (
        ("diagnosed-no-command", {"command": ["/no/such/command"]}),
        ("diagnosed-not-executable", {"command": ["/etc/passwd"]}),
        ("diagnosed-shell", {"command": ["sh", "-c", "$(LONGTASK_PARAM_CODE)"]}),
    ):
        tasks.template(name, template_spec({"containers": [container(**more)], **quick_end}))


def test_too_much_memory_is_told_with_what_the_work_last_used(
    tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]
) -> None:
    name = unique("oom")
    uid = tasks.run(name, "diagnosed-small", f"{WHEN_TOLD}\nx = b'x' * 10**9")
    pod_of(name).post("progress", {"fraction": 0.5, "memoryBytes": 40 * 2**20, "final": True})
    tasks.go(uid)
    failure = tasks.wait(name, "Failed")["failure"]
    known = "(limit 48Mi; 40Mi at the last report)"
    assert failure["message"] == f"the work used more memory than it may have {known}"
    assert failure["reason"] == "OOMKilled"
    assert (failure["exitCode"], failure["signal"], failure["logTail"]) == (137, 9, "working")


@pytest.mark.parametrize(
    ("template", "code", "exit_code", "message", "hint"),
    [
        ("diagnosed-no-command", "", 128, "no such file", "Check that the command exists"),
        ("diagnosed-not-executable", "", 128, "permission denied", "Check that the command exists"),
        ("diagnosed-shell", "train --epochs 3", 127, "exit code 127", "Check that the command exists"),
        ("diagnosed-shell", "kill -9 $$", 137, "killed by SIGKILL (exit code 137)", "Often that is memory"),
        ("diagnosed-shell", "kill -SEGV $$", 139, "killed by SIGSEGV (exit code 139)", "PYTHONFAULTHANDLER=1"),
    ],
    ids=["no such command", "no program", "no such command in a shell", "SIGKILL", "SIGSEGV"],
)
def test_how_the_container_ended_has_a_hint(
    tasks: Tasks, unique: Callable[[str], str], template: str, code: str, exit_code: int, message: str, hint: str
) -> None:
    name = unique("ended")
    tasks.run(name, template, f"sh -c '{code}'" if code else "")
    failure = tasks.wait(name, "Failed")["failure"]
    assert failure["exitCode"] == exit_code, failure
    assert message in failure["message"].lower() or message in failure["message"], failure
    assert hint in failure["hint"], failure


OUTPUTS = Path(__file__).parents[1] / "unit" / "failing"
SENTENCES = dict(line.split(": ", 1) for line in (OUTPUTS / "sentences.txt").read_text().splitlines())
FAILING = (
    "typed/go",
    "typed/java",
    "typed/rust",
    "typed/tqdm",
    "recorded/null.js",
    "recorded/group.py",
    "typed/torchrun",
)


@pytest.fixture(scope="module")
def failing(tasks: Tasks, templates: None) -> dict[str, str]:
    """Programs that write what those of other languages do, and fail, all at once; the name of the task of each."""
    names = {}
    for output in FAILING:
        names[output] = name = "failing-" + output.replace("/", "-").replace(".", "-")
        said = (OUTPUTS / f"{output}.txt").read_text()
        tasks.run(name, "diagnosed-once", f"import sys; sys.stderr.write({said!r}); sys.exit(7)")
    return names


@pytest.mark.parametrize("output", FAILING)
def test_the_message_of_a_failure_is_its_cause_in_the_programs_words(
    tasks: Tasks, failing: dict[str, str], output: str
) -> None:
    assert tasks.wait(failing[output], "Failed")["failure"]["message"] == f"exit code 7: {SENTENCES[output]}"


def test_a_checkpoint_outlives_the_attempts_that_end_badly(
    tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]
) -> None:
    name = unique("resumed")
    uid = tasks.run(name, "diagnosed", f"{WHEN_TOLD}\nraise SystemExit(3)")
    pod_of(name).put("checkpoint", b"epoch 3")
    tasks.go(uid)
    eventually(lambda: tasks.status(name), lambda status: status["attemptCount"] == 2)
    pod = pod_of(name)
    assert pod.get("checkpoint").content == b"epoch 3"
    assert pod.get("attempt").body["attempt"] == 2
    pod.put("result", {"score": 1})
    tasks.go(uid)
    status = tasks.wait(name, "Failed")
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Error", "Error"]
    assert status["checkpoint"]["text"] == "epoch 3"
    assert status["result"]["value"] == {"score": 1}


@pytest.fixture(scope="module")
def read_log(tasks: Tasks, operator: OperatorProcess) -> Callable[[str, int], dict[str, Any]]:
    """Reads the end of a task's log through the task API."""
    accounts = f"/api/v1/namespaces/{tasks.kube.namespace}/serviceaccounts"
    tasks.kube.create(accounts, {"metadata": {"name": READER}})
    request = {"spec": {"audiences": [AUDIENCE_TASK_API], "expirationSeconds": 600}}
    token = tasks.kube.create(f"{accounts}/{READER}/token", request).done()["status"]["token"]

    def read(uid: str, lines: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{operator.task_api_port}/v1/tasks/{uid}/logs?tail_lines={lines}"
        call = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(call, timeout=120) as answer:
            log: dict[str, Any] = json.loads(answer.read())
        return log

    return read


LIMIT = 256 * 1024


@pytest.mark.parametrize(
    ("written", "lines", "text", "truncated"),
    [
        pytest.param("print('a\\nb')", 2, "a\nb\n", False, id="all"),
        pytest.param("print('a\\nb')", 1, "b\n", True, id="last-line"),
        pytest.param("print('x' * 10**7, end='')", 200, "x" * LIMIT, True, id="one-line-without-end"),
        pytest.param("print('x' * 10**7 + '\\nlast')", 200, "last\n", True, id="after-a-line-that-is-too-long"),
        pytest.param("print('x' * 100_000 + '\\nlast')", 1, "last\n", True, id="last-line-after-a-long-one"),
        pytest.param(
            "print('x' * 100_000 + '\\nlast')", 2, "x" * 100_000 + "\nlast\n", False, id="a-long-line-as-a-whole"
        ),
        pytest.param(
            "print(('€' * 1000 + '\\n') * 200, end='')", 200, ("€" * 1000 + "\n") * 87, True, id="newest-lines"
        ),
    ],
)
def test_the_newest_of_a_log_is_kept_in_whole_lines_and_characters(
    tasks: Tasks,
    unique: Callable[[str], str],
    read_log: Callable[[str, int], dict[str, Any]],
    written: str,
    lines: int,
    text: str,
    truncated: bool,
) -> None:
    name = unique("log")
    uid = tasks.run(name, "diagnosed", f"{written}\n{WHEN_TOLD.replace('print', '#')}")
    tasks.wait(name, "Running")
    log = eventually(lambda: read_log(uid, lines), lambda log: log["text"] == text)
    assert log["truncated"] is truncated
    tasks.patch(name, cancelRequested=True)


def test_each_attempt_keeps_why_it_ended(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("why")
    tasks.run(name, "diagnosed", "raise ValueError('no rows')")
    tasks.wait_message(name, "attempt 1 ended (Error: exit code 1: ValueError: no rows); starting the next one")
    attempts = tasks.wait(name, "Failed")["attempts"]
    assert [each["message"] for each in attempts] == ["exit code 1: ValueError: no rows"] * 2
