"""The API server of the cluster that KUBECONFIG names, with our CRDs, and namespaces that go when the session ends."""

import fcntl
import gc
import inspect
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import pytest
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from longtask_api import constants, crd
from longtask_runtime import garbage
from longtask_runtime.watchdog import Blocked, watching
from tests import blocked
from tests.kube import CRDS, Kube, eventually
from tests.patience import PATIENCE

MANAGER = "longtask-tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for the API server needs a cluster; what runs on the loop is watched."""
    for item in items:
        fixtures = getattr(item, "fixturenames", [])
        if "cluster" in fixtures:
            item.add_marker(pytest.mark.cluster)
        if inspect.iscoroutinefunction(getattr(item, "obj", None)):
            fixtures.append("unblocked_loop")


def pytest_collection_finish() -> None:
    """Leave the tests themselves, hundreds of thousands of objects, out of garbage collections: one took half a second
    of a test's event loop on a slow machine.
    """
    gc.freeze()
    garbage.collect_seldom()


@pytest.fixture(autouse=True)
def unblocked_servers() -> Iterator[None]:
    """No server that a test started, or used, may block its event loop."""
    yield
    if found := blocked.by_servers():
        pytest.fail("the event loop of a server was blocked:\n" + "\n".join(found), pytrace=False)


@pytest.fixture
async def unblocked_loop() -> AsyncIterator[None]:
    """No part of a server that runs in the loop of the tests may block it."""
    told: list[Blocked] = []
    with watching(told.append, blocked.LIMIT):
        yield
    if found := [each for each in told if blocked.is_ours(each.stack)]:
        pytest.fail("\n".join(f"the event loop was blocked for {each.seconds:.2f} s:\n{each.stack}" for each in found))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kube]:
    """The cluster, with the CRDs as the models say."""
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set: start a cluster with `make cluster-up`, or name one")
    client: ApiClient = new_client_from_config()
    kube = Kube(client)
    with (Path(tempfile.gettempdir()) / "longtask-tests.lock").open("a") as runs:
        fcntl.flock(runs, fcntl.LOCK_SH)
        established = [_established(kube, document) for document in (crd.task_crd(), crd.template_crd())]
        yield kube
        if _is_last(runs):
            for name in established:
                _delete_if_ours_and_unused(kube, name)
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
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(_delete_with_all_in_it, made))


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., str]:
    """Runs kubectl in a namespace; what it printed, errors included."""
    program = shutil.which("kubectl")
    assert program, "kubectl is not on the PATH"

    def run(kube: Kube, *arguments: str) -> str:
        command = [program, "--namespace", kube.namespace, *arguments]
        ran = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE
        )
        return ran.stdout

    return run


def _delete_with_all_in_it(kube: Kube) -> None:
    for plural in (constants.TASK_PLURAL, constants.TEMPLATE_PLURAL):
        kube.request("DELETE", kube.path(plural)).done()
    kube.request("DELETE", f"/api/v1/namespaces/{kube.namespace}").done()


def _is_last(runs: TextIO) -> bool:
    """Whether no other run of tests on this machine uses a cluster."""
    try:
        fcntl.flock(runs, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _established(kube: Kube, document: dict[str, Any]) -> str:
    """Make the cluster serve the CRD; its name.

    One that is there is replaced, because server-side apply would leave rules that another manager once wrote; its
    labels stay as they are, they may be Helm's.
    """
    name = document["metadata"]["name"]
    found = kube.get(f"{CRDS}/{name}")
    if found.code == 200:

        def replaced() -> int:
            current = kube.get(f"{CRDS}/{name}").done()
            return kube.request("PUT", f"{CRDS}/{name}", current | {"spec": document["spec"]}).code

        eventually(replaced, lambda code: code == 200)  # another run may write it at the same time
    else:
        kube.apply(f"{CRDS}/{name}", document, MANAGER).done()
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    key = ".".join([*reversed(constants.GROUP.split(".")), constants.VERSION, document["spec"]["names"]["kind"]])

    def served() -> Any:
        published = kube.get(f"/openapi/v3/apis/{constants.API_VERSION}")
        schemas = published.body["components"]["schemas"] if published.code == 200 else {}
        return schemas.get(key, {}).get("x-kubernetes-validations")

    eventually(served, lambda rules: rules == schema["x-kubernetes-validations"])
    return str(name)


def _delete_if_ours_and_unused(kube: Kube, name: str) -> None:
    plural, _, _ = name.partition(".")
    written_by = {
        entry["manager"]
        for entry in kube.get(f"{CRDS}/{name}").done()["metadata"]["managedFields"]
        if "subresource" not in entry
    }
    if written_by == {MANAGER} and not kube.get(f"/apis/{constants.API_VERSION}/{plural}").done()["items"]:
        kube.request("DELETE", f"{CRDS}/{name}").done()
        eventually(lambda: kube.get(f"{CRDS}/{name}").code, lambda code: code == 404)
