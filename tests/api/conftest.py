"""The API server of the cluster that KUBECONFIG names, with our CRDs and a namespace of our own."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from longtask_api import crd, names
from tests.api.kube import CRDS, Kube, eventually
from tests.api.objects import task, template
from tests.api.writes import Stored

MakeTask = Callable[..., Stored]
MANAGER = "longtask-tests-api"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for the API server needs a cluster."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kube]:
    """The cluster, with the CRDs as the models say."""
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set: start a cluster with `make cluster-up`, or name one")
    client: ApiClient = new_client_from_config()
    kube = Kube(client)
    made = [name for document in (crd.task_crd(), crd.template_crd()) if (name := _established(kube, document))]
    yield kube
    for name in made:
        _delete_if_unused(kube, name)
    client.rest_client.close()


@pytest.fixture(scope="session")
def new_namespace(cluster: Kube) -> Iterator[Callable[[], Kube]]:
    """Makes namespaces; they go when the session ends."""
    made: list[Kube] = []

    def make() -> Kube:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "longtask-api-"}}
        made.append(cluster.within(cluster.create("/api/v1/namespaces", body).done()["metadata"]["name"]))
        return made[-1]

    yield make
    for kube in made:
        for plural in (names.TASK_PLURAL, names.TEMPLATE_PLURAL):
            kube.request("DELETE", kube.path(plural)).done()
        kube.request("DELETE", f"/api/v1/namespaces/{kube.namespace}").done()


@pytest.fixture(scope="session")
def kube(new_namespace: Callable[[], Kube]) -> Kube:
    """The namespace that most tests share."""
    return new_namespace()


@pytest.fixture(scope="session")
def new_name() -> Callable[[], str]:
    """A name that no object has yet."""
    numbers = itertools.count(1)
    return lambda: f"training-{next(numbers)}"


@pytest.fixture(scope="session")
def a_task(kube: Kube, new_name: Callable[[], str]) -> MakeTask:
    """Makes a LongTask with more in its spec, and a status if one is given."""

    def make(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> Stored:
        body = task(new_name(), spec)
        return _applied(kube, names.TASK_PLURAL, body, status)

    return make


@pytest.fixture(scope="session")
def a_template(kube: Kube, new_name: Callable[[], str]) -> MakeTask:
    """Makes a LongTaskTemplate with more in its spec, and a status if one is given."""

    def make(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> Stored:
        return _applied(kube, names.TEMPLATE_PLURAL, template(new_name(), spec), status)

    return make


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., str]:
    """Runs kubectl in a namespace; what it printed, errors included."""
    program = shutil.which("kubectl")
    assert program, "kubectl is not on the PATH"

    def run(kube: Kube, *arguments: str) -> str:
        command = [program, "--namespace", kube.namespace, *arguments]
        ran = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        return ran.stdout

    return run


def _applied(kube: Kube, plural: str, body: dict[str, Any], status: dict[str, Any] | None) -> Stored:
    stored = Stored(kube, kube.path(plural, body["metadata"]["name"]))
    kube.apply(stored.path, body).done()
    if status is not None:
        kube.apply(
            f"{stored.path}/status", {key: body[key] for key in body if key != "spec"} | {"status": status}
        ).done()
    return stored


def _established(kube: Kube, document: dict[str, Any]) -> str | None:
    """Make the cluster serve the CRD; its name if it was not there.

    One that is there is replaced, because server-side apply would leave rules that another manager once wrote; its
    labels stay as they are, they may be Helm's.
    """
    name = document["metadata"]["name"]
    found = kube.get(f"{CRDS}/{name}")
    if found.code == 200:
        kube.request("PUT", f"{CRDS}/{name}", found.body | {"spec": document["spec"]}).done()
    else:
        kube.apply(f"{CRDS}/{name}", document, MANAGER).done()
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    key = ".".join([*reversed(names.GROUP.split(".")), names.VERSION, document["spec"]["names"]["kind"]])

    def served() -> Any:
        published = kube.get(f"/openapi/v3/apis/{names.API_VERSION}")
        schemas = published.body["components"]["schemas"] if published.code == 200 else {}
        return schemas.get(key, {}).get("x-kubernetes-validations")

    eventually(served, lambda rules: rules == schema["x-kubernetes-validations"])
    return None if found.code == 200 else name


def _delete_if_unused(kube: Kube, name: str) -> None:
    plural, _, _ = name.partition(".")
    written_by = {
        entry["manager"]
        for entry in kube.get(f"{CRDS}/{name}").done()["metadata"]["managedFields"]
        if "subresource" not in entry
    }
    if written_by == {MANAGER} and not kube.get(f"/apis/{names.API_VERSION}/{plural}").done()["items"]:
        kube.request("DELETE", f"{CRDS}/{name}").done()
        eventually(lambda: kube.get(f"{CRDS}/{name}").code, lambda code: code == 404)
