"""Who may say whose a task is and which session is told of its end; and of which memories, whoever says it."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from longtask_api import constants
from tests.chart.conftest import MCP, MEMORY, RESTORE, SYSTEM, TASKS, VALUES, Document, Run
from tests.patience import PATIENCE

AGENT: Final = "system:serviceaccount:agents:researcher"
ADMINISTRATOR: Final = ""
NOT_LISTED: Final = [
    ADMINISTRATOR,
    AGENT,
    f"system:serviceaccount:{TASKS}:default",
    f"system:serviceaccount:{SYSTEM}:longtask-operator",
    f"{MCP}-2",
]
REQUESTER: Final = {"requester": {"principal": AGENT, "actorId": "ann", "sessionId": "monday"}}
TOLD: Final = {"memory": {"memoryId": MEMORY, "actorId": "ann", "sessionId": "monday"}}
OTHER_MEMORIES: Final = [
    "others-a1b2c3d4e5",
    MEMORY.upper(),
    f"{MEMORY[:-1]}6",
    f"arn:aws:bedrock-agentcore:eu-central-1:111122223333:memory/{MEMORY}",
]
MAY_NOT: Final = "may not set spec.requester or spec.memory: only the MCP server may"
NO_MEMORY: Final = "is not one that this release may write to: list it, written the same way, in the chart's memory"

pytestmark = pytest.mark.usefixtures("release")


def told(memory_id: str) -> Document:
    return {"memory": TOLD["memory"] | {"memoryId": memory_id}}


def task(spec: Document, name: str = "chart-whose") -> Document:
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TASK_KIND,
        "metadata": {"name": name},
        "spec": {"templateRef": {"name": "anything"}} | spec,
    }


def as_(account: str) -> tuple[str, ...]:
    # The group gives every right there is, so that the policy alone is asked.
    return ("--as", account, "--as-group", "system:masters") if account else ()


CREATES: Final[dict[str, tuple[str, ...]]] = {
    "POST": ("create", "--dry-run=server"),
    "server-side apply": ("apply", "--server-side", "--dry-run=server"),
}


def create(kubectl: Run, account: str, spec: Document, verb: str = "POST", namespace: str = TASKS) -> str:
    """Try to create a task; what the API server answered: its name where it took it."""
    command = (*CREATES[verb], "-n", namespace, "-o", "name", "-f", "-", *as_(account))
    return kubectl(*command, stdin=yaml.safe_dump(task(spec))).stdout.strip()


TAKEN: Final = f"longtask.{constants.GROUP}/chart-whose"


@pytest.fixture(scope="module", autouse=True)
def in_force(kubectl: Run, release: None) -> None:
    """The API server holds to a policy a moment after it was made."""
    until_refused(kubectl, told("others-a1b2c3d4e5"), TASKS)


def until_refused(kubectl: Run, spec: Document, namespace: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while NO_MEMORY not in (answer := create(kubectl, MCP, spec, namespace=namespace)):
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


@pytest.mark.parametrize("verb", CREATES)
@pytest.mark.parametrize("spec", [REQUESTER, TOLD, REQUESTER | TOLD], ids=" and ".join)
@pytest.mark.parametrize("account", [MCP, RESTORE])
def test_listed_accounts_say_whose_a_task_is_and_who_is_told(
    kubectl: Run, account: str, spec: Document, verb: str
) -> None:
    assert create(kubectl, account, spec, verb) == TAKEN


@pytest.mark.parametrize("verb", CREATES)
@pytest.mark.parametrize("spec", [REQUESTER, TOLD, REQUESTER | TOLD], ids=" and ".join)
@pytest.mark.parametrize("account", NOT_LISTED)
def test_nobody_else_does_not_even_an_administrator(kubectl: Run, account: str, spec: Document, verb: str) -> None:
    assert MAY_NOT in create(kubectl, account, spec, verb)


@pytest.mark.parametrize("account", [ADMINISTRATOR, AGENT])
def test_a_task_without_either_is_anybodys_to_create(kubectl: Run, account: str) -> None:
    assert create(kubectl, account, {}) == TAKEN


@pytest.mark.parametrize("account", [MCP, RESTORE])
@pytest.mark.parametrize("memory_id", OTHER_MEMORIES)
def test_a_memory_that_is_not_listed_is_nobodys_to_name(kubectl: Run, memory_id: str, account: str) -> None:
    assert f"memory {memory_id} {NO_MEMORY}" in create(kubectl, account, REQUESTER | told(memory_id))


def test_an_account_that_may_not_is_told_so_first(kubectl: Run) -> None:
    assert MAY_NOT in create(kubectl, AGENT, told("others-a1b2c3d4e5"))


@pytest.fixture(scope="module")
def without_memories(kubectl: Run, render: Callable[..., list[Document]], release: None) -> Iterator[str]:
    """A namespace under the policy of a release that lists none."""
    namespace = "longtask-chart-no-memories"
    made = [
        each
        for each in render(VALUES | {"memory": {}, "taskNamespace": {"name": namespace}})
        if each["kind"] == "Namespace"
        or (each["kind"].startswith("ValidatingAdmissionPolicy") and "requester" in each["metadata"]["name"])
    ]
    assert len(made) == 3
    for each in made[1:]:
        each["metadata"]["name"] = namespace
    [binding] = [each for each in made if each["kind"] == "ValidatingAdmissionPolicyBinding"]
    binding["spec"]["policyName"] = namespace
    documents = yaml.safe_dump_all(made)
    ran = kubectl("apply", "-f", "-", stdin=documents)
    assert ran.returncode == 0, ran.stdout
    yield namespace
    kubectl("delete", "--wait=false", "-f", "-", stdin=documents)


def test_where_none_is_listed_every_memory_is_refused(kubectl: Run, without_memories: str) -> None:
    until_refused(kubectl, REQUESTER | TOLD, without_memories)
    assert create(kubectl, MCP, REQUESTER, namespace=without_memories) == TAKEN


@pytest.fixture(scope="module")
def stored(kubectl: Run, in_force: None) -> Iterator[dict[str, str]]:
    """Names of two tasks of which there is no template: one with a session that is told, one without."""
    found = {"told": "chart-told", "untold": "chart-untold"}
    specs: dict[str, Document] = {"told": REQUESTER | TOLD, "untold": REQUESTER}
    for key, name in found.items():
        ran = kubectl("create", "-n", TASKS, "-f", "-", *as_(MCP), stdin=yaml.safe_dump(task(specs[key], name)))
        assert ran.returncode == 0, ran.stdout
    yield found
    kubectl("delete", "-n", TASKS, "longtask", *found.values(), "--wait=false")


def change(kubectl: Run, account: str, name: str, spec: Any) -> str:
    """Try to change a task's spec; what the API server answered."""
    merge = json.dumps({"spec": spec})
    command = ("patch", "-n", TASKS, "longtask", name, "--type=merge", "--dry-run=server", "-o", "name", "-p", merge)
    return kubectl(*command, *as_(account)).stdout.strip()


@pytest.mark.parametrize("account", [ADMINISTRATOR, MCP, RESTORE, AGENT])
@pytest.mark.parametrize(
    ("which", "spec"),
    [
        ("untold", TOLD),
        ("told", {"memory": None}),
        ("told", {"memory": {"sessionId": "tuesday"}}),
        ("told", {"memory": {"actorId": "bob"}}),
        ("told", told("others-a1b2c3d4e5")),
    ],
    ids=["added", "removed", "another session", "another actor", "another memory"],
)
def test_who_is_told_is_nobodys_to_change(
    kubectl: Run, stored: dict[str, str], which: str, spec: Any, account: str
) -> None:
    assert "memory cannot change once the task exists" in change(kubectl, account, stored[which], spec)


@pytest.mark.parametrize("account", [ADMINISTRATOR, MCP])
@pytest.mark.parametrize("spec", [{"suspend": True}, {"cancelRequested": True}], ids=" ".join)
def test_other_changes_of_a_task_that_names_them_go_through(
    kubectl: Run, stored: dict[str, str], spec: Document, account: str
) -> None:
    assert change(kubectl, account, stored["told"], spec) == f"longtask.{constants.GROUP}/{stored['told']}"


def test_the_accounts_and_memories_under_test_are_those_of_the_values() -> None:
    assert VALUES["requesters"] == {"additionalAccounts": [RESTORE]}
    assert VALUES["memory"]["memoryIds"] == [MEMORY]
