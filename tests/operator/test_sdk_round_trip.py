"""A template made by `longtask template`: the function in the pod gets exactly the values that the task names."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtask_api import names
from tests.kube import Kube, eventually
from tests.operator import described
from tests.operator.tasks import IMAGE, Tasks

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
    arguments = ["described:described", "--image", IMAGE, "--name", name, "--python", "/opt/longtask/bin/python"]
    made = subprocess.run(
        [sys.executable, "-m", "longtask", "template", *arguments],
        cwd=CODE.parent,
        env=os.environ,
        check=True,
        capture_output=True,
        timeout=60,
    )
    document = yaml.safe_load(made.stdout)
    kube = tasks.kube
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {CODE.name: CODE.read_text()},
    }
    kube.apply(f"/api/v1/namespaces/{kube.namespace}/configmaps/{name}", config).done()
    pod = document["spec"]["podTemplate"]["spec"]
    pod["volumes"].append({"name": "code", "configMap": {"name": name}})
    (container,) = pod["containers"]
    container["volumeMounts"].append({"name": "code", "mountPath": "/code"})
    container["env"] = [{"name": "PYTHONPATH", "value": "/code"}]
    _apply(kube, name, document)
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
    assert variables[names.ENV_SCHEMA_HASH] == described.described.signature.schema_hash()


def _apply(kube: Kube, name: str, document: dict[str, Any]) -> None:
    path = kube.path(names.TEMPLATE_PLURAL, name)
    kube.apply(path, document).done()

    def ready() -> list[tuple[str, str]]:
        conditions = kube.get(path).done().get("status", {}).get("conditions", [])
        return [(each["status"], each["message"]) for each in conditions]

    eventually(ready, lambda seen: seen == [("True", "")])
