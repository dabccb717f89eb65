"""Templates that `longtask template` makes of a module of these tests, which a ConfigMap brings into the pod."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from longtask_api import constants
from tests.kube import Kube, eventually
from tests.operator.tasks import IMAGE


def made(code: Path, function: str, name: str) -> dict[str, Any]:
    """The template of a function, as the command line writes it."""
    target = f"{code.stem}:{function}"
    arguments = [target, "--image", IMAGE, "--name", name, "--python", "/opt/longtask/bin/python"]
    made = subprocess.run(
        [sys.executable, "-m", "longtask", "template", *arguments],
        cwd=code.parent,
        env=os.environ,
        check=True,
        capture_output=True,
        timeout=60,
    )
    document: dict[str, Any] = yaml.safe_load(made.stdout)
    return document


def bring(kube: Kube, code: Path, document: dict[str, Any]) -> None:
    """Give the pod of a template the module."""
    name = document["metadata"]["name"]
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {code.name: code.read_text()},
    }
    kube.apply(f"/api/v1/namespaces/{kube.namespace}/configmaps/{name}", config).done()
    pod = document["spec"]["podTemplate"]["spec"]
    pod["volumes"].append({"name": "code", "configMap": {"name": name}})
    (container,) = pod["containers"]
    container["volumeMounts"].append({"name": "code", "mountPath": "/code"})
    container["env"].append({"name": "PYTHONPATH", "value": "/code"})


def apply(kube: Kube, document: dict[str, Any]) -> None:
    """Apply a template and wait until the operator has taken it."""
    path = kube.path(constants.TEMPLATE_PLURAL, document["metadata"]["name"])
    kube.apply(path, document).done()

    def ready() -> list[tuple[str, str]]:
        conditions = kube.get(path).done().get("status", {}).get("conditions", [])
        return [(each["status"], each["message"]) for each in conditions]

    eventually(ready, lambda seen: seen == [("True", "")])
