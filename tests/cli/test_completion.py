"""Completion as shells ask for it: names of tasks, templates, parameters and contexts."""

import os
from collections.abc import Callable

import pytest

from longtask_api import constants
from tests.api import objects
from tests.cli.conftest import put, ready_template
from tests.cli.program import Cli
from tests.kube import Kube

pytestmark = pytest.mark.cluster

Complete = Callable[..., list[str]]


@pytest.fixture(scope="module", autouse=True)
def world(kube: Kube) -> None:
    put(kube, "completed-one", objects.RUNNING)
    put(kube, "completed-two", objects.SUCCEEDED)
    ready_template(kube, "completing")
    schema = {
        "type": "object",
        "properties": {"mode": {"enum": ["fast", "slow"]}, "epochs": {"description": "How many."}},
    }
    path = kube.path(constants.TEMPLATE_PLURAL, "completing")
    body = {"spec": {"parametersSchema": schema}}
    kube.request("PATCH", path, body, content="application/merge-patch+json").done()


@pytest.fixture
def complete(cli: Cli, capfd: pytest.CaptureFixture[str]) -> Complete:
    """What bash is told for a line, of which the last word is completed."""

    def run(*words: str, **environment: str) -> list[str]:
        own = {
            "_LONGTASK_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["longtask", *words]),
            "COMP_CWORD": str(len(words)),
        }
        ran = cli.but(**own, **environment)()
        assert ran.code == 0, ran
        return [each.partition(",")[2] for each in ran.out.splitlines() if each]

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["canc"], ["cancel"]),
        (["show", "completed"], ["completed-one", "completed-two"]),
        (["cancel", "completed-one", "completed-t"], ["completed-two"]),
        (["templates", "show", "compl"], ["completing"]),
        (["list", "--template", "compl"], ["completing"]),
        (["start", "compl"], ["completing"]),
        (["start", "completing", "m"], ["mode="]),
        (["start", "completing", "mode=s"], ["mode=slow"]),
        (["answer", "completed-one", "--question", ""], [objects.QUESTION["id"]]),
        (["logs", "nosuch"], []),
        (["show", "-n", "nosuch", "completed"], []),
    ],
)
def test_names_are_completed(complete: Complete, words: list[str], expected: list[str]) -> None:
    assert sorted(complete(*words)) == expected


def test_contexts_are_completed(complete: Complete) -> None:
    assert len(complete("list", "--context", "")) >= 1


def test_where_nobody_answers_nothing_is_offered(complete: Complete) -> None:
    for words in (
        ["show", ""],
        ["start", ""],
        ["start", "x", ""],
        ["list", "--context", ""],
        ["answer", "x", "--question", ""],
    ):
        assert complete(*words, KUBECONFIG=os.devnull) == []
