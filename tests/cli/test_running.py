"""Work that a person starts, follows, answers and ends, with a real operator."""

import json
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from longtask_api import constants
from tests.cli.conftest import put, set_status
from tests.cli.program import Cli, interrupted
from tests.kube import Kube, eventually
from tests.operator.reporting import Caller
from tests.operator.tasks import WHEN_TOLD, Tasks, container, template_spec
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

LOGS = f"""
print("first")
{WHEN_TOLD}
print("\\x1b[31mred\\x1b[0m \\x1b[2J日本")
print("no end of the line", end="")
"""


def started(cli: Cli, code: str, *arguments: str) -> str:
    """The name of a task that was started with that code."""
    return cli.done("start", "work", f"code={code}", "-o", "name", *arguments).strip().partition("/")[2]


def ask(pod: Caller, question: dict[str, Any]) -> None:
    """Let the work ask; its pod may have begun before the operator knows it."""
    answer = eventually(lambda: pod.post("questions", question), lambda answer: answer.code != 503)
    assert answer.code == 200, answer


def uid(tasks: Tasks, name: str) -> str:
    return str(tasks.get(name)["metadata"]["uid"])


@pytest.mark.parametrize(
    ("code", "exit_code", "says"),
    [
        ("print('done')", 0, r"work-\w{5} succeeded after \d+s"),
        ("1 / 0", 1, r"work-\w{5} failed after \d+s: Error: exit code 1: ZeroDivisionError: division by zero"),
    ],
)
def test_a_start_waits_and_ends_as_the_task_does(working: Cli, code: str, exit_code: int, says: str) -> None:
    ran = working("start", "work", f"code={code}", "epochs=3", "mode=slow", "layers:=[1]", "--wait")
    assert ran.code == exit_code
    assert re.fullmatch(r"longtask\.longtask\.dev/work-\w{5} started\n", ran.out)
    assert re.search(says, ran.err)
    if exit_code:
        assert "  ZeroDivisionError: division by zero" in ran.err
        assert "hint: " in ran.err


def test_a_task_of_a_person_has_its_parameters_completed_and_no_requester(working: Cli, tasks: Tasks) -> None:
    task = tasks.get(started(working, "pass", "epochs=3"))
    assert task["spec"]["parameters"] == {"code": "pass", "epochs": 3, "mode": "fast"}
    assert "requester" not in task["spec"]
    assert task["metadata"]["labels"][constants.LABEL_TEMPLATE] == "work"
    assert {each["manager"] for each in task["metadata"]["managedFields"]} & {"longtask-cli"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], ["- code: is required"]),
        (["code=1", "epochs=ten"], ['- epochs: "ten" is not of type "integer"']),
        (["code=1", "epochs=0"], ["- epochs: 0 is less than the minimum of 1"]),
        (["code=1", "mode=medium"], ['- mode: "medium" is not one of "fast", "slow"']),
        (["code=1", "speed=3"], ["- speed: no such parameter; allowed are code, epochs, layers, mode"]),
        (["code=1", "layers=1"], ['- layers: 1 is not of type "array"']),
        (["code=1", "epochs:=9223372036854775808"], ["- epochs: is an integer beyond 63 bits"]),
        (["code=@/no/such/file"], ["/no/such/file cannot be read: No such file or directory; nothing was started"]),
        (["code=@/dev/zero"], ["/dev/zero has more than the 65536 bytes that parameters may have"]),
        (["code:=1"], ['- code: 1 is not of type "string"']),
        (["code"], ["'code' is no parameter: write NAME=VALUE"]),
        ([f"code={'x' * 70000}"], ["bytes, 65536 are allowed: pass a reference"]),
    ],
)
def test_a_value_that_does_not_fit_is_told_before_anything_is_created(
    working: Cli, words: list[str], says: list[str]
) -> None:
    before = working.done("list", "-o", "name")
    ran = working("start", "work", *words)
    assert (ran.code, ran.out) == (4, "")
    assert all(each in ran.err for each in says), ran.err
    assert "nothing was started" in ran.err
    assert working.done("list", "-o", "name") == before


def test_a_dry_run_starts_nothing(working: Cli) -> None:
    before = working.done("list", "-o", "name")
    assert "would be started (dry run)" in working.done("start", "work", "code=1", "--dry-run", "--wait")
    assert (
        json.loads(working.done("start", "work", "code=1", "--dry-run", "-o", "json"))["spec"]["parameters"]["code"]
        == "1"
    )
    assert working.done("list", "-o", "name") == before


def test_parameters_come_from_stdin(working: Cli, tasks: Tasks) -> None:
    ran = working("start", "work", "code=@-", "-o", "name", stdin="print('日本')\n".encode())
    assert tasks.get(ran.out.strip().partition("/")[2])["spec"]["parameters"]["code"] == "print('日本')\n"


def test_a_key_finds_the_same_task_again(working: Cli) -> None:
    first = started(working, "pass", "--idempotency-key", "nightly")
    again = working("start", "work", "code=pass", "--idempotency-key", "nightly", "--wait")
    assert again.code == 0
    assert f"{first} was already started (" in again.out
    other = working("start", "work", "code=print(1)", "--idempotency-key", "nightly")
    assert other.code == 4
    assert f"the key 'nightly' was used for {first}, which has other parameters; nothing was started" in other.err
    assert started(working, "pass", "--idempotency-key", "weekly") != first
    assert started(working, "pass") != started(working, "pass")


def test_concurrent_starts_with_a_key_make_one_task(working: Cli) -> None:
    processes = [
        working.start("start", "work", "code=pass", "--idempotency-key", "raced", "-o", "name") for _ in range(4)
    ]
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert len({out for out, _ in outputs}) == 1


def test_a_template_that_is_not_there_or_not_ready_is_told(working: Cli, tasks: Tasks) -> None:
    spec = {"description": "x", "podTemplate": {"spec": {"containers": [{"name": "main", "image": "x", "nosuch": 1}]}}}
    tasks.template("broken", spec, ready=False)
    ran = working("start", "broken")
    assert ran.code == 4
    assert re.search(r"template broken is not Ready: InvalidPod: .*nosuch.* Nothing was started", ran.err)
    assert "Did you mean work?" in working("start", "worc").err
    checked = working("templates", "check", "broken")
    assert checked.code == 1
    assert "longtasktemplate.longtask.dev/broken is not Ready: InvalidPod" in checked.out
    assert working("templates", "check", "work").code == 0


def test_a_log_is_followed_to_its_end_and_read_from_the_record_after_that(
    working: Cli, tasks: Tasks, kube: Kube
) -> None:
    name = started(working, LOGS)
    process = working.start("logs", "-f", name)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["first\n", "working\n"]
    tasks.go(uid(tasks, name))
    rest, err = process.communicate(timeout=PATIENCE)
    expected = "\x1b[31mred\x1b[0m \x1b[2J日本\nno end of the line\n"
    assert (rest, process.returncode) == (expected, 0)
    assert f"{name} succeeded" in err
    assert working.done("logs", name) == f"first\nworking\n{expected}"
    assert working.done("logs", name, "--tail", "1") == "no end of the line\n"
    tasks.wait(name, "Succeeded")
    for pod in tasks.pods(uid(tasks, name)):
        path = f"/api/v1/namespaces/{tasks.kube.namespace}/pods/{pod['metadata']['name']}"
        kube.request("DELETE", path, gracePeriodSeconds="0").done()
        eventually(partial(kube.get, path), lambda answer: answer.code == 404)
    ran = working("logs", name)
    assert ran.out == f"first\nworking\n{expected}"
    assert "is gone; this is the end of the log, from the record of the task" in ran.err


def test_the_logs_of_all_attempts_are_followed(working: Cli, tasks: Tasks) -> None:
    name = started(working, f"{WHEN_TOLD}\nimport os\nraise SystemExit(3)")
    process = working.start("logs", "-f", name)
    tasks.go(uid(tasks, name))
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out.startswith("working\n")
    assert f"{name} failed" in err


def test_logs_are_followed_past_a_pod_that_was_evicted(working: Cli, tasks: Tasks) -> None:
    name = started(working, WHEN_TOLD)
    first = tasks.running_pod(uid(tasks, name))
    process = working.start("logs", "-f", name)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    tasks.evict(first)
    eventually(lambda: tasks.status(name).get("attemptCount"), lambda count: count == 2)
    tasks.go(uid(tasks, name))
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "working\n"), err
    assert "--- attempt 2 ---" in err
    assert f"{name} succeeded" in err
    told = working.done("show", name)
    assert re.search(r"attempt 1 ended: (Evicted|Deleted)", told)
    assert "attempt 2 started" in told


def test_the_log_of_the_work_is_read_in_a_pod_of_several_containers(working: Cli, tasks: Tasks) -> None:
    other = container(command=["python3", "-c", "print('other')"]) | {"name": "other"}
    spec = template_spec({"containers": [container(), other]})
    tasks.template("several", spec)
    name = working.done("start", "several", "code=print('the work')", "-o", "name", "--wait").partition("/")[2].strip()
    assert working.done("logs", name) == "the work\n"


def test_doctor_finds_nothing_wrong_where_an_operator_works(working: Cli, tasks: Tasks) -> None:
    told = working("doctor", "--system-namespace", tasks.kube.namespace).out
    assert "ok    operator replica-1 leads; it renewed its Lease" in told
    assert "none waits for an operator" in told
    assert "WRONG" not in told.replace("WRONG the MCP server", "")


def test_more_tasks_are_watched_than_have_a_watch_of_their_own(cli: Cli, kube: Kube) -> None:
    names = [f"crowd-{number}" for number in range(25)]
    for name in names:
        put(kube, name, {"phase": "Running"})
    process = cli.start("watch", *names)
    assert process.stdout is not None
    assert {process.stdout.readline().split()[0] for _ in names} == set(names)
    put(kube, "crowd-other", {"phase": "Running"})
    for name in names[1:]:
        set_status(kube, name, {"phase": "Succeeded", "completionTime": "2026-03-01T10:00:00Z"})
    kube.request("DELETE", kube.path(constants.TASK_PLURAL, names[0])).done()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4, err
    assert "crowd-other" not in out
    assert len(out.splitlines()) == 25


def test_a_person_answers(working: Cli, tasks: Tasks, pod_of: Callable[[str], Caller]) -> None:
    name = started(working, WHEN_TOLD)
    pod = pod_of(name)
    schema = {"type": "object", "properties": {"keep": {"type": "integer"}}, "required": ["keep"]}
    asked: dict[str, Any] = {"id": "go-on", "message": "Go on?\x1b[2J", "schema": {"type": "boolean"}}
    asked |= {"default": False, "timeoutSeconds": 3600}
    ask(pod, asked)
    assert "asks: Go on?" in working.done("show", name)
    ran = working("answer", name, "perhaps")
    assert ran.code == 4
    assert 'does not fit question go-on; it was not given: "perhaps" is not of type "boolean"' in ran.err
    ran = working("answer", name)
    assert ran.code == 4
    assert "Go on?\\x1b[2J\nThe answer must fit" in ran.err
    assert "no answer was given: longtask answer" in ran.err
    assert "question go-on answered with true" in working.done("answer", name, "true")
    assert working("answer", name, "true", "--question", "go-on").code == 0  # the same answer again
    again = working("answer", name, "false", "--question", "go-on")
    assert again.code == 4
    assert "was already answered with true. The first answer counts" in again.err
    assert "was already answered with true" in working("answer", name, "false").err
    ask(pod, {"id": "a", "message": "A?", "schema": schema})
    again = working("answer", name, "true")  # repeated, as its end was lost: it is not an answer to the next question
    assert f"{name} has asked 2 questions; say with --question which one is answered. Open: a: A?" in again.err
    ask(pod, {"id": "b", "message": "B?"})
    ran = working("answer", name, "1")
    assert f"{name} has asked 3 questions; say with --question which one is answered. Open: a: A?; b: B?" in ran.err
    assert "Open questions: a: A?; b: B?" in working("answer", name, "1", "--question", "c").err
    working.done("answer", name, "--question", "a", '{"keep": 3}')
    working.done("answer", name, "--question", "b", "all", "of", "them")
    given = {each["requestId"]: each["value"] for each in tasks.get(name)["spec"]["inputResponses"]}
    assert given == {"go-on": "true", "a": '{"keep":3}', "b": '"all of them"'}
    working.done("cancel", name)
    tasks.wait(name, "Cancelled")
    assert "has no open question; it is Cancelled" in working("answer", name, "1").err


def test_two_answers_at_once_are_one(working: Cli, tasks: Tasks, pod_of: Callable[[str], Caller]) -> None:
    name = started(working, WHEN_TOLD)
    ask(pod_of(name), {"id": "which", "message": "Which?"})
    processes = [working.start("answer", name, str(number)) for number in range(3)]
    ends = [(process.communicate(timeout=PATIENCE), process.returncode) for process in processes]
    (given,) = tasks.get(name)["spec"]["inputResponses"]
    assert sorted(code for _, code in ends) == [0, 4, 4], ends
    assert [out for (out, _), code in ends if not code] == [
        f"longtask.longtask.dev/{name} question which answered with {given['value']}\n"
    ]
    working.done("cancel", name)


def test_a_task_is_suspended_resumed_and_cancelled(working: Cli, tasks: Tasks) -> None:
    name = started(working, WHEN_TOLD)
    tasks.wait(name, "Running")
    assert "is not suspended" in working.done("resume", name)
    assert "suspend requested" in working.done("suspend", name)
    assert "is already suspended" in working.done("suspend", name)
    tasks.wait(name, "Suspended")
    assert "suspended" in working.done("show", name)
    assert "resumed" in working.done("resume", name)
    tasks.wait(name, "Running")
    ran = working("cancel", name, "--wait")
    assert ran.code == 3
    assert f"{name} cancelled after " in ran.err
    assert f"{name} has already ended (Cancelled)" in working.done("cancel", name)


@pytest.mark.parametrize("command", [["watch"], ["logs", "-f"]])
def test_a_task_that_is_deleted_meanwhile_is_told(working: Cli, tasks: Tasks, command: list[str]) -> None:
    name = started(working, WHEN_TOLD)
    tasks.wait(name, "Running")
    process = working.start(*command, name)
    assert process.stdout is not None
    process.stdout.readline()
    tasks.delete(name)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4, (out, err)
    assert f"{name} was deleted" in err
    assert "Traceback" not in err


def test_a_task_of_the_same_name_is_another_task(cli: Cli, kube: Kube) -> None:
    put(kube, "replaced", {"phase": "Running"})
    process = cli.start("watch", "replaced")
    assert process.stdout is not None
    assert "Running" in process.stdout.readline()
    kube.request("DELETE", kube.path(constants.TASK_PLURAL, "replaced")).done()
    put(kube, "replaced", {"phase": "Succeeded", "completionTime": "2026-03-01T10:00:00Z"})
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4
    assert "replaced was deleted before it had ended" in err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["start", "work", f"code={WHEN_TOLD}", "--wait"], "interrupted; the task goes on: `longtask watch work-"),
        (["watch", "NAME"], "interrupted; the task goes on: `longtask watch work-"),
        (["watch"], ""),
        (["logs", "-f", "NAME"], ""),
    ],
)
def test_ctrl_c_ends_the_command_and_not_the_task(working: Cli, tasks: Tasks, command: list[str], says: str) -> None:
    name = started(working, WHEN_TOLD)
    tasks.wait(name, "Running")
    process = working.start(*[name if each == "NAME" else each for each in command])
    assert process.stdout is not None
    process.stdout.readline()
    code, _, err = interrupted(process)
    assert code == 130
    assert says in err
    assert "Traceback" not in err
    assert tasks.status(name)["phase"] == "Running"
    working.done("cancel", name)


def test_a_timeout_ends_the_wait_and_not_the_task(working: Cli, tasks: Tasks) -> None:
    ran = working("start", "work", f"code={WHEN_TOLD}", "--wait", "--timeout", "1")
    assert ran.code == 5
    assert "not ended within 1s; the task goes on: `longtask watch work-" in ran.err
    name = ran.out.partition("/")[2].split()[0]
    assert tasks.wait(name, "Running")
    working.done("cancel", name)


def test_several_tasks_are_watched_to_their_ends(cli: Cli, kube: Kube) -> None:
    ends = {"first": "Succeeded", "second": "Failed", "third": "Cancelled"}
    names = [f"several-{each}" for each in ends]
    for name in names:
        put(kube, name, {"phase": "Running"})
    process = cli.start("watch", *names)
    assert process.stdout is not None
    assert [process.stdout.readline().split()[0] for _ in names] == names
    for name, phase in zip(names, ends.values(), strict=True):
        set_status(kube, name, {"phase": phase, "completionTime": "2026-03-01T10:00:00Z"})
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert [each.split()[:2] for each in out.splitlines()] == [
        [n, p] for n, p in zip(names, ends.values(), strict=True)
    ]
    assert [each.split()[0] for each in err.splitlines() if each.startswith("several")] == names
    assert cli("watch", names[0]).code == 0
    assert cli("watch", names[0], names[2]).code == 3


def test_all_that_is_in_progress_is_watched_with_what_comes_and_how_it_ends(cli: Cli, kube: Kube) -> None:
    put(kube, "watched-early", {"phase": "Running"})
    process = cli.start("watch")
    assert process.stdout is not None
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.extend(iter(process.stdout.readline, "")))  # type: ignore[union-attr]
    reader.start()
    eventually(lambda: "\n".join(seen), lambda text: "watched-early   Running" in text)
    put(kube, "watched-late", {"phase": "Running"})
    eventually(lambda: "\n".join(seen), lambda text: "watched-late   Running" in text)
    set_status(kube, "watched-early", {"phase": "Succeeded", "completionTime": "2026-03-01T10:00:00Z"})
    eventually(lambda: "\n".join(seen), lambda text: "watched-early   Succeeded" in text)
    kube.request("DELETE", kube.path(constants.TASK_PLURAL, "watched-late")).done()
    eventually(lambda: "\n".join(seen), lambda text: "watched-late   deleted" in text)
    process.send_signal(2)
    assert process.wait(PATIENCE) == 130
    reader.join()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    process.stdout.close()
