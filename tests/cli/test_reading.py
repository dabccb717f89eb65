"""What a person reads of tasks that stand in the cluster, with and without the right to more."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtask_api import constants
from tests.api import objects
from tests.cli.conftest import config_map, put, ready_template
from tests.cli.program import Cli
from tests.docs.pages import blocks
from tests.kube import Kube

pytestmark = pytest.mark.cluster

HOSTILE = "\x1b]0;owned\x07\x1b[2J"
VIEWER, EDITOR = (yaml.safe_load(block.text)["rules"] for block in blocks("yaml", page="docs/cli.md"))
DATA = b'{"rows": [' + b"1, " * 20000 + b"2]}\n"


@pytest.fixture(scope="module", autouse=True)
def world(kube: Kube) -> dict[str, dict[str, Any]]:
    """Tasks in all states, by name."""
    states = {
        "viewed-running": objects.RUNNING,
        "viewed-done": objects.SUCCEEDED,
        "viewed-failed": objects.FAILED | {"message": HOSTILE},
        "viewed-cancelled": objects.CANCELLED_AT_ONCE,
        "viewed-new": None,
        "viewed-text": objects.SUCCEEDED | {"result": {"text": f"日本 {HOSTILE}"}},
        "viewed-empty": objects.SUCCEEDED | {"result": None, "logTail": None},
    }
    made = {name: put(kube, name, status, parameters={"code": "1"}) for name, status in states.items()}
    large = put(kube, "viewed-large")
    uid = large["metadata"]["uid"]
    digest = hashlib.sha256(DATA).hexdigest()
    kept = {"uri": f"configmap:viewed-large-result-{uid}", "size": len(DATA), "sha256": digest}
    config_map(kube, f"viewed-large-result-{uid}", DATA)
    artifacts = [
        kept | {"name": "rows.json", "mediaType": "application/json"},
        kept | {"name": "broken", "sha256": "ab12" * 16},
        {"name": "model", "uri": "s3://models/1", "size": 10, "sha256": digest},
        {"name": "named"},
        kept | {"name": "foreign", "uri": "configmap:someone-elses"},
        kept | {"name": "gone", "uri": f"configmap:gone-{uid}"},
    ]
    status = objects.SUCCEEDED | {"result": {"reference": kept, "artifacts": artifacts}}
    path = kube.path(constants.TASK_PLURAL, "viewed-large")
    made["viewed-large"] = kube.request("PUT", f"{path}/status", large | {"status": status}).done()
    return made


@pytest.fixture(scope="module")
def viewer(person: Callable[..., Cli]) -> Cli:
    return person("viewer", VIEWER)


def names(text: str) -> list[str]:
    return [each.partition("/")[2] for each in text.split()]


def test_a_list_has_kubectls_columns(cli: Cli) -> None:
    head, *rest = cli.done("list").splitlines()
    assert head.split() == ["NAME", "TEMPLATE", "PHASE", "PROGRESS", "AGE"]
    cells = {each.split()[0]: each.split()[1:] for each in rest}
    assert cells["viewed-running"][:4] == ["work", "Running", "60%", "(6/10"]
    assert cells["viewed-new"][:2] == ["work", "Pending"]
    assert re.fullmatch(r"\d+m?\d*s?", cells["viewed-new"][-1])


def test_a_wide_list_has_messages_without_what_a_terminal_obeys(cli: Cli) -> None:
    told = cli.done("list", "-o", "wide", "--template", "work")
    assert "\\x1b]0;owned" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--phase", "Failed"], {"viewed-failed"}),
        (["--phase", "failed", "--phase", "CANCELLED"], {"viewed-failed", "viewed-cancelled"}),
        (["--phase", "Pending"], {"viewed-new"}),
        (["--active"], {"viewed-running", "viewed-new"}),
        (["--active", "--phase", "Running"], {"viewed-running"}),
        (["--requester", "system:serviceaccount:agents:alice"], set()),
        (["--template", "nosuch"], set()),
        (["-l", "a=b"], set()),
    ],
)
def test_a_list_is_filtered(cli: Cli, arguments: list[str], expected: set[str]) -> None:
    viewed = {each for each in names(cli.done("list", "-o", "name", *arguments)) if each.startswith("viewed")}
    documents = json.loads(cli.done("list", "-o", "json", *arguments))["items"]
    assert viewed == expected
    assert {each["metadata"]["name"] for each in documents if each["metadata"]["name"].startswith("viewed")} == expected


def test_a_list_without_matches_says_so_and_succeeds(cli: Cli) -> None:
    ran = cli("list", "--template", "nosuch")
    assert (ran.code, ran.out) == (0, "")
    assert f"No such tasks found in namespace {cli.environment['LONGTASK_NAMESPACE']}." in ran.err


def test_a_list_is_the_newest_first_and_sorted_as_asked(cli: Cli, world: dict[str, Any]) -> None:
    by_name = names(cli.done("list", "-o", "name", "--sort", "name"))
    assert by_name == sorted(by_name)
    documents = json.loads(cli.done("list", "-o", "json"))["items"]
    created = {each["metadata"]["name"]: each["metadata"]["creationTimestamp"] for each in documents}
    times = [datetime.fromisoformat(created[name]) for name in names(cli.done("list", "-o", "name"))]
    assert times == sorted(times, reverse=True)
    assert len(cli.done("list", "--sort", "phase", "--limit", "0").splitlines()) == len(created) + 1


def test_a_limit_is_told(cli: Cli) -> None:
    ran = cli("list", "--limit", "2")
    assert len(ran.out.splitlines()) == 3
    assert re.match(r"2 of \d+ tasks; --limit 0 shows all\.", ran.err)


def test_all_namespaces(cli: Cli, kube: Kube) -> None:
    told = cli.but(LONGTASK_NAMESPACE="default").done("list", "-A", "--limit", "0")
    assert any(each.split()[:2] == [kube.namespace, "viewed-running"] for each in told.splitlines())


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_a_task_is_shown_whole(cli: Cli, world: dict[str, Any], output: str) -> None:
    read = json.loads if output == "json" else yaml.safe_load
    document = read(cli.done("show", "viewed-failed", "-o", output))
    assert document["status"] == world["viewed-failed"]["status"]
    assert document["kind"] == "LongTask"
    assert "managedFields" not in document["metadata"]


@pytest.mark.parametrize(
    "how",
    [
        "viewed-done",
        "longtask/viewed-done",
        "longtask.longtask.dev/viewed-done",
        "VIEWED-DONE",
        "viewed-don",
        "id",
        "short id",
    ],
)
def test_a_task_is_found_by_its_name_and_by_its_id(cli: Cli, world: dict[str, Any], how: str) -> None:
    uid = world["viewed-done"]["metadata"]["uid"]
    wanted = {"id": uid.upper(), "short id": uid[:13]}.get(how, how)
    assert f"ID:          {uid}\n" in cli.done("show", wanted)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("viewed-", "tasks in namespace"),
        ("viewed-failedd", "Did you mean viewed-failed"),
        ("8f3c0000-0000-4000-8000-000000000001", "its record may be in the archive"),
        ("nothing-like-it", "`longtask list` shows those that there are"),
        ("../../../api/v1/secrets", "there is no task 'secrets'"),
        ("a/", "is no name of a task"),
        ("ünïcode", "there is no task 'ünïcode'"),
    ],
)
def test_a_task_that_is_not_there_is_told_with_what_may_be_meant(cli: Cli, name: str, says: str) -> None:
    ran = cli("show", name)
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err


@pytest.mark.parametrize("command", ["cancel", "suspend", "resume"])
def test_a_change_needs_the_whole_name(cli: Cli, command: str) -> None:
    ran = cli(command, "viewed-runnin")
    assert ran.code == 4
    assert "begins so: viewed-running. Give the whole name or id" in ran.err


def test_a_result_is_its_json_or_its_text(cli: Cli, tmp_path: Path) -> None:
    assert json.loads(cli.done("result", "viewed-done")) == objects.SUCCEEDED["result"]["value"]
    assert cli.done("result", "viewed-text") == f"日本 {HOSTILE}"  # a file or a program gets the bytes
    file = tmp_path / "résultat.json"
    ran = cli("result", "viewed-large", "-o", str(file))
    assert (ran.code, ran.out, file.read_bytes()) == (0, "", DATA)
    assert f"{len(DATA)} bytes written to {file}" in ran.err
    assert cli("result", "viewed-large").raw == DATA


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("viewed-running", "has no result yet: it is Running: asks"),
        ("viewed-new", "has no result yet: it is Pending"),
        ("viewed-failed", "viewed-failed failed without a result: OOMKilled"),
        ("viewed-cancelled", "viewed-cancelled cancelled without a result"),
        ("viewed-empty", "viewed-empty succeeded without a result"),
    ],
)
def test_a_result_that_is_not_there_is_told(cli: Cli, name: str, says: str) -> None:
    ran = cli("result", name)
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err


@pytest.mark.parametrize(
    ("spec", "status", "says"),
    [
        ({}, {"inputRequests": [objects.QUESTION | {"timedOut": True}]}, "q1 timed out; the work went on"),
        ({"cancelRequested": True}, {}, "is being cancelled, so it takes no answer"),
        ({}, objects.SUCCEEDED | {"inputRequests": [objects.QUESTION]}, "has ended (Succeeded), so it takes no answer"),
        ({}, {"inputRequests": []}, "has not asked 'q1'. Open questions: none"),
    ],
)
def test_an_answer_that_comes_too_late_is_told(
    cli: Cli, kube: Kube, spec: dict[str, Any], status: dict[str, Any], says: str
) -> None:
    name = f"late-{hashlib.sha256(says.encode()).hexdigest()[:8]}"
    put(kube, name, objects.RUNNING | status, **spec)
    ran = cli("answer", name, "true", "--question", objects.QUESTION["id"])
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err


def test_a_task_that_has_asked_nothing_takes_no_answer(cli: Cli) -> None:
    assert "viewed-new has asked nothing; it is Pending" in cli("answer", "viewed-new", "true").err


def test_names_are_shown_for_scripts(cli: Cli) -> None:
    assert cli.done("show", "viewed-don", "-o", "name") == "longtask.longtask.dev/viewed-done\n"


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(cli: Cli, tmp_path: Path) -> None:
    ran = cli("result", "viewed-done", "-o", str(tmp_path / "no" / "such"))
    assert ran.code == 4
    assert "cannot be written: No such file or directory" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_artifacts_are_listed_and_downloaded(cli: Cli, tmp_path: Path) -> None:
    head, first, *_ = cli.done("artifacts", "viewed-large").splitlines()
    assert head.split() == ["NAME", "SIZE", "TYPE", "PLACE"]
    assert first.split()[:4] == ["rows.json", "59", "KiB", "application/json"]
    assert len(json.loads(cli.done("artifacts", "viewed-large", "-o", "json"))) == 6
    assert cli("artifacts", "viewed-large", "rows.json", "--to", str(tmp_path)).code == 0
    assert (tmp_path / "rows.json").read_bytes() == DATA
    assert "has no artifacts" in cli("artifacts", "viewed-failed").err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "model",
            "lies in s3://models/1, which a kubeconfig does not reach. With credentials for the bucket: aws s3 cp",
        ),
        ("named", "has no place: the work only named it"),
        ("broken", "was changed since the work handed it in"),
        ("foreign", "which is none of this task"),
        ("gone", "Start the task again to have it made anew"),
        ("nosuch", "has no artifact 'nosuch'; it has: rows.json, broken, model, named, foreign, gone"),
    ],
)
def test_an_artifact_out_of_reach_is_told_with_another_way(cli: Cli, name: str, says: str) -> None:
    ran = cli("artifacts", "viewed-large", name)
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err


def test_the_log_of_a_task_whose_pod_is_gone_comes_from_its_record(cli: Cli) -> None:
    ran = cli("logs", "viewed-failed")
    assert (ran.code, ran.out) == (0, "epoch 6/10 val 0.81\nepoch 7/10: allocating batch 4096\n")
    assert "pod training-1-8f3c2a1b-x7k2m of attempt 1 is gone; this is the end of the log, from the record" in ran.err
    assert cli.done("logs", "viewed-failed", "--tail", "1") == "epoch 7/10: allocating batch 4096\n"
    assert cli.done("logs", "-f", "viewed-done") == "epoch 10/10 val 0.82\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["viewed-new"], "viewed-new has no log yet: it is Pending"),
        (["viewed-empty"], "the record has no log"),
        (["viewed-running", "--attempt", "1"], "the record keeps the end of the last attempt's log only"),
        (["viewed-running", "--attempt", "7"], "viewed-running has no attempt 7; recorded are: 1, 2"),
        (["viewed-running"], "the record gets the end of the log only when the task has ended"),
    ],
)
def test_a_log_that_is_not_there_is_told(cli: Cli, arguments: list[str], says: str) -> None:
    ran = cli("logs", *arguments)
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err


# Somebody who may only look at LongTasks


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "-o", "wide"],
        ["list", "-o", "yaml"],
        ["show", "viewed-running"],
        ["show", "viewed-d"],
        ["result", "viewed-done"],
        ["artifacts", "viewed-large"],
        ["logs", "viewed-failed"],
        ["logs", "-f", "viewed-done"],
        ["watch", "viewed-done"],
        ["cancel", "viewed-done"],
    ],
)
def test_who_may_look_at_tasks_needs_no_other_right(viewer: Cli, arguments: list[str]) -> None:
    ran = viewer(*arguments)
    assert ran.code == 0, ran
    assert ran.out


def test_without_the_right_to_logs_the_record_is_read_and_it_is_said(viewer: Cli) -> None:
    ran = viewer("logs", "viewed-failed")
    assert ran.out.startswith("epoch 6/10")
    assert "note: you may not read the logs of pods" in ran.err
    assert "this is the end of the log, from the record of the task" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["result", "viewed-large"], 'cannot get resource "configmaps"'),
        (["cancel", "viewed-running"], 'cannot patch resource "longtasks"'),
        (["answer", "viewed-running", "true"], 'cannot patch resource "longtasks"'),
        (["start", "work"], 'cannot create resource "longtasks"'),
        (["templates", "list"], 'cannot list resource "longtasktemplates"'),
        (["templates", "show", "work"], 'cannot get resource "longtasktemplates"'),
        (["list", "-A"], "cannot list resource"),
        (["list", "-n", "default"], "cannot list resource"),
    ],
)
def test_a_right_that_is_missing_is_named_with_whom_to_ask(viewer: Cli, arguments: list[str], says: str) -> None:
    ran = viewer(*arguments)
    assert ran.code == 4, ran
    assert says in ran.err
    assert "Ask an administrator of the namespace for " in ran.err


def test_doctor_tells_a_viewer_what_is_missing(viewer: Cli) -> None:
    told = viewer("doctor").out
    assert "you are system:serviceaccount:" in told
    assert "you may not create longtasks in namespace" in told
    assert "you may not get pods/log" in told
    assert "WRONG you may not" not in told
    assert "whether an operator leads cannot be seen" in told


def test_the_role_for_all_commands_is_enough(person: Callable[..., Cli], kube: Kube) -> None:
    editor = person("editor", EDITOR)
    assert "you have the rights for all commands" in editor("doctor").out
    assert editor("result", "viewed-large").raw == DATA
    ready_template(kube, "edited")
    assert "cancel requested" in editor.done("cancel", editor.done("start", "edited", "-o", "name").strip())


def test_who_may_nothing_is_told_so(person: Callable[..., Cli]) -> None:
    nobody = person("nobody", [])
    ran = nobody("list")
    assert ran.code == 4
    assert "cannot list resource" in ran.err
    told = nobody("doctor")
    assert told.code == 1
    assert "WRONG you may not list longtasks" in told.out
