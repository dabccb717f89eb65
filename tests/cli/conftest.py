"""The command line against the API server, with an operator where a task has to run."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtask_api import constants
from tests.api import objects
from tests.cli.program import Cli
from tests.kube import Kube
from tests.mcp.conftest import kubeconfig, replica, world
from tests.operator.conftest import namespace, operator, pod_of, tasks, unique
from tests.operator.tasks import Tasks, template_spec

__all__ = ["kubeconfig", "namespace", "operator", "pod_of", "replica", "tasks", "unique", "world"]

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "Python to run."},
        "epochs": {"type": "integer", "minimum": 1, "default": 10},
        "mode": {"enum": ["fast", "slow"], "default": "fast"},
        "layers": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["code"],
}


@pytest.fixture(scope="session")
def kube(new_namespace: Callable[[], Kube]) -> Kube:
    """A namespace without an operator: objects stay as the tests write them."""
    return new_namespace()


@pytest.fixture(scope="session")
def cli(kube: Kube) -> Cli:
    """The command line of the cluster's administrator in that namespace."""
    return Cli(KUBECONFIG=os.environ["KUBECONFIG"], LONGTASK_NAMESPACE=kube.namespace)


@pytest.fixture(scope="session")
def working(cli: Cli, tasks: Tasks) -> Cli:
    """The command line in the operator's namespace, which has the template `work`."""
    tasks.template("work", template_spec(parametersSchema=PARAMETERS))
    return cli.but(LONGTASK_NAMESPACE=tasks.kube.namespace)


@pytest.fixture(scope="session")
def person(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, list[dict[str, Any]]], Cli]:
    """Makes the command line of somebody who has these rules of a Role in the namespace, and no other right."""

    def make(name: str, rules: list[dict[str, Any]]) -> Cli:
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{kube.namespace}"
        accounts = f"/api/v1/namespaces/{kube.namespace}/serviceaccounts"
        kube.create(accounts, {"metadata": {"name": name}}).done()
        kube.create(f"{path}/roles", {"metadata": {"name": name}, "rules": rules}).done()
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": kube.namespace}],
        }
        kube.create(f"{path}/rolebindings", binding).done()
        token = kube.create(f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 3600}}).done()
        config = tmp_path_factory.mktemp(name) / "config"
        return Cli(KUBECONFIG=str(with_token(config, token["status"]["token"])), LONGTASK_NAMESPACE=kube.namespace)

    return make


def cluster_entry() -> dict[str, Any]:
    """The cluster of KUBECONFIG, for another kubeconfig."""
    document = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    entry: dict[str, Any] = document["clusters"][0]["cluster"]
    return entry


def with_token(path: Path, token: str) -> Path:
    """A kubeconfig of the tests' cluster with that token."""
    return with_user(path, {"token": token})


def with_user(path: Path, user: dict[str, Any], **context: str) -> Path:
    """A kubeconfig of the tests' cluster with that user."""
    document = {
        "clusters": [{"name": "tests", "cluster": cluster_entry()}],
        "users": [{"name": "tests", "user": user}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", **context}}],
        "current-context": "tests",
    }
    path.write_text(json.dumps(document))
    return path


def put(kube: Kube, name: str, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A task of the template `work` with that status."""
    body = {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TASK_KIND,
        "metadata": {"name": name},
        "spec": {"templateRef": {"name": "work"}, **spec},
    }
    made: dict[str, Any] = kube.create(kube.path(constants.TASK_PLURAL), body).done()
    if status is not None:
        made = set_status(kube, name, status)
    return made


def set_status(kube: Kube, name: str, status: dict[str, Any]) -> dict[str, Any]:
    """Write the whole status of a task."""
    path = kube.path(constants.TASK_PLURAL, name)
    body = kube.get(path).done() | {"status": status}
    made: dict[str, Any] = kube.request("PUT", f"{path}/status", body).done()
    return made


def config_map(kube: Kube, name: str, data: bytes) -> None:
    """A ConfigMap as the operator's store makes it."""
    body = {"metadata": {"name": name}, "binaryData": {"content": base64.b64encode(data).decode()}}
    kube.create(f"/api/v1/namespaces/{kube.namespace}/configmaps", body).done()


def ready_template(kube: Kube, name: str) -> None:
    """A template that is Ready, where no operator looks at it."""
    path = kube.path(constants.TEMPLATE_PLURAL)
    made = kube.create(path, objects.template(name)).done()
    status = {"observedGeneration": made["metadata"]["generation"], "conditions": [objects.condition("Ready")]}
    kube.request("PUT", f"{path}/{name}/status", made | {"status": status}).done()
