"""A template made by `longtask template`: the function in the pod gets exactly the values that the task names."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from longtask_api import constants
from tests.operator import described
from tests.operator.sdk import apply, bring, made
from tests.operator.tasks import Tasks

pytestmark = pytest.mark.cluster

CODE = Path(described.__file__)
TEXT = "größe 🦆 $(HOME) $$ \"quoted\" 'too'\n\tand more: # \\ \u2028 end"

SENT: dict[str, Any] = {
    "text": TEXT,
    "moment": "2026-01-31T18:30:00.25Z",
    "day": "2026-02-28",
    "pause": "PT90S",
    "colour": "blü",
    "optimizer": {"rate": 1, "stop": "2027-01-01"},
    "layers": [{"size": 8.0, "since": "2026-03-01", "names": ["ä", ""]}, {"size": 4, "since": "2026-03-02"}],
    "limits": {"b": 1e-05, "ü": 1},
}
GOT = described.told(
    {
        "text": TEXT,
        "moment": datetime(2026, 1, 31, 18, 30, 0, 250000, tzinfo=UTC),
        "day": date(2026, 2, 28),
        "pause": timedelta(seconds=90),
        "colour": described.Colour.BLUE,
        "optimizer": described.Optimizer(1.0, stop=date(2027, 1, 1)),
        "layers": (
            described.Layer(size=8, since=date(2026, 3, 1), names=["ä", ""]),
            described.Layer(size=4, since=date(2026, 3, 2)),
        ),
        "limits": {"b": 1e-05, "ü": 1.0},
        "folder": Path("/data"),
        "seed": None,
        "choice": described.Colour.BLUE,
        "best": described.Optimizer(0.5),
    }
)
OTHERS_SENT = {**SENT, "folder": "/other/ü", "seed": 7, "choice": None, "best": {"rate": 0.25, "kind": "sgd"}}
OTHERS_GOT = GOT | described.told(
    {
        "folder": Path("/other/ü"),
        "seed": 7,
        "choice": None,
        "best": described.Optimizer(0.25, "sgd"),
    }
)


@pytest.fixture(scope="module")
def template(tasks: Tasks, unique: Callable[[str], str]) -> str:
    """The function's template, as the command line writes it, with the module mounted from a ConfigMap."""
    name = unique("described")
    document = made(CODE, "described", name)
    bring(tasks.kube, CODE, document)
    apply(tasks.kube, document)
    return name


@pytest.mark.parametrize(
    ("sent", "got"), [pytest.param(SENT, GOT, id="defaults"), pytest.param(OTHERS_SENT, OTHERS_GOT, id="all")]
)
def test_the_function_gets_exactly_what_was_sent(
    tasks: Tasks, template: str, unique: Callable[[str], str], sent: dict[str, Any], got: dict[str, str]
) -> None:
    name = unique("described")
    uid = tasks.start(name, template, sent)
    status = tasks.wait(name, "Succeeded", "Failed")
    assert status["phase"] == "Succeeded", (status, tasks.log(uid))
    assert status["result"]["value"] == got


def test_the_templates_hash_reaches_the_pod(tasks: Tasks, template: str, unique: Callable[[str], str]) -> None:
    name = unique("described")
    uid = tasks.start(name, template, SENT)
    tasks.wait(name, "Succeeded", "Failed")
    (pod,) = tasks.pods(uid)
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert variables[constants.ENV_SCHEMA_HASH] == described.described.signature.schema_hash()
