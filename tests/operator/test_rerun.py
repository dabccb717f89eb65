"""A task that runs an earlier one again, and goes on from its checkpoint."""

from collections.abc import Callable
from typing import Any

import pytest

from longtask_api import constants
from tests.kube import eventually
from tests.operator.reporting import Caller
from tests.operator.tasks import WHEN_TOLD, Tasks, container, template_spec

pytestmark = pytest.mark.cluster

SMALL, LARGE = b'{"epoch": 6}', b"\0" * 20_000
ALICE, BOB = {"principal": "alice"}, {"principal": "bob"}


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    for name in ("rerun", "other"):
        tasks.template(name, template_spec({"containers": [container()]}))


@pytest.fixture
def ended(tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]) -> Callable[..., dict[str, Any]]:
    """Runs a task of alice that saves a checkpoint and fails; the object."""

    def run(checkpoint: bytes | None) -> dict[str, Any]:
        name = unique("earlier")
        uid = tasks.run(name, "rerun", f"{WHEN_TOLD}\nraise SystemExit(3)", requester=ALICE)
        if checkpoint is not None:
            assert pod_of(name).put("checkpoint?sequence=7", checkpoint, Content_Type="application/x-state").code == 200
        tasks.wait(name, "Running")
        tasks.go(uid)
        tasks.wait(name, "Failed")
        return tasks.get(name)

    return run


def again(earlier: dict[str, Any], from_checkpoint: bool = True) -> dict[str, Any]:
    metadata = earlier["metadata"]
    return {"name": metadata["name"], "uid": metadata["uid"], "fromCheckpoint": from_checkpoint}


def copies(tasks: Tasks, uid: str) -> list[str]:
    """Names of the ConfigMaps that belong to a task."""
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/configmaps"
    items = tasks.kube.get(path, labelSelector=f"{constants.LABEL_TASK_UID}={uid}").done()["items"]
    return [item["metadata"]["name"] for item in items]


@pytest.mark.parametrize("state", [SMALL, LARGE], ids=["in-the-object", "in-the-store"])
def test_the_first_attempt_goes_on_from_the_earlier_tasks_checkpoint(
    tasks: Tasks,
    unique: Callable[[str], str],
    pod_of: Callable[[str], Caller],
    ended: Callable[..., dict[str, Any]],
    state: bytes,
) -> None:
    earlier, name = ended(state), unique("again")
    uid = tasks.run(name, "rerun", WHEN_TOLD, requester=ALICE, rerunOf=again(earlier))
    pod = pod_of(name)
    tasks.delete(earlier["metadata"]["name"])
    eventually(lambda: copies(tasks, earlier["metadata"]["uid"]), lambda left: not left)
    back = pod.get("checkpoint")
    assert (back.content, back.headers["content-type"]) == (state, "application/x-state")
    assert (back.headers["longtask-attempt"], back.headers["longtask-sequence"]) == ("0", "7")
    assert tasks.status(name)["checkpoint"]["savedTime"] == earlier["status"]["checkpoint"]["savedTime"]
    assert pod.put("checkpoint?sequence=1", b"\1" * 20_000).code == 200
    assert pod.get("checkpoint").headers["longtask-attempt"] == "1"
    assert len(copies(tasks, uid)) == 1
    tasks.go(uid)
    tasks.wait(name, "Succeeded")


def test_without_the_checkpoint_it_begins_anew(
    tasks: Tasks,
    unique: Callable[[str], str],
    pod_of: Callable[[str], Caller],
    ended: Callable[..., dict[str, Any]],
) -> None:
    name = unique("again")
    uid = tasks.run(name, "rerun", WHEN_TOLD, requester=ALICE, rerunOf=again(ended(SMALL), from_checkpoint=False))
    assert pod_of(name).get("checkpoint").code == 204
    tasks.go(uid)
    tasks.wait(name, "Succeeded")


def test_what_it_may_not_have_is_refused_before_anything_starts(
    tasks: Tasks, unique: Callable[[str], str], ended: Callable[..., dict[str, Any]]
) -> None:
    kept, bare = ended(LARGE), ended(None)
    (copy,) = copies(tasks, kept["metadata"]["uid"])
    cases = {
        "is not of the same requester and template": [
            ("rerun", {"requester": BOB, "rerunOf": again(kept)}),
            ("rerun", {"rerunOf": again(kept)}),
            ("other", {"requester": ALICE, "rerunOf": again(kept)}),
        ],
        "has saved no checkpoint": [("rerun", {"requester": ALICE, "rerunOf": again(bare)})],
        "is gone, and its checkpoint with it": [
            ("rerun", {"requester": ALICE, "rerunOf": again(kept) | {"uid": bare["metadata"]["uid"]}})
        ],
    }
    made = [
        (name := unique("again"), tasks.run(name, template, "pass", **spec), why)
        for why, those in cases.items()
        for template, spec in those
    ]
    tasks.kube.request("DELETE", f"/api/v1/namespaces/{tasks.kube.namespace}/configmaps/{copy}").done()
    lost = unique("again")
    made.append((lost, tasks.run(lost, "rerun", "pass", requester=ALICE, rerunOf=again(kept)), "cannot be copied"))
    for name, uid, why in made:
        failure = tasks.wait(name, "Failed")["failure"]
        assert failure["reason"] == "NoCheckpoint", failure
        assert why in failure["message"]
        assert "without spec.rerunOf.fromCheckpoint" in failure["hint"]
        assert tasks.jobs(uid) == []
