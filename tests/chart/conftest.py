"""The chart, rendered; and the release that it makes on the cluster that KUBECONFIG names."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.patience import PATIENCE, TO_TELL

Document = dict[str, Any]
Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]

CHART = Path(__file__).resolve().parents[2] / "charts" / "longtask"
KUBERNETES = "1.34.4"  # what `helm template` takes the cluster for
RELEASE, SYSTEM, TASKS = "longtask", "longtask-system", "longtask-tasks"
MCP = f"system:serviceaccount:{SYSTEM}:longtask-mcp"
RESTORE = "system:serviceaccount:backup:restore"
MEMORY = "conversations-a1b2c3d4e5"
JOB_CONTROLLER = "system:kube-controller-manager"
VALUES: Document = {
    "agents": [{"namespace": "agents", "serviceAccount": "researcher"}],
    "requesters": {"additionalAccounts": [RESTORE]},
    "memory": {"region": "eu-central-1", "memoryIds": [MEMORY]},
    "jobController": {"additionalAccounts": [JOB_CONTROLLER]},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for kubectl needs a cluster."""
    for item in items:
        if "kubectl" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def helm() -> Run:
    """Runs helm; both streams of what it printed are in `stdout`."""
    return _runner("helm")


@pytest.fixture(scope="session")
def kubectl() -> Run:
    """Runs kubectl; both streams of what it printed are in `stdout`."""
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set: start a cluster with `make cluster-up`, or name one")
    return _runner("kubectl")


@pytest.fixture(scope="session")
def render(helm: Run) -> Callable[..., list[Document]]:
    """The manifests that the chart makes of these values, test hooks included."""

    def documents(values: Document | None = None) -> list[Document]:
        command = ["template", RELEASE, str(CHART), "-n", SYSTEM, "--kube-version", KUBERNETES, "--values", "-"]
        ran = helm(*command, stdin=json.dumps(values or {}))
        assert ran.returncode == 0, ran.stdout
        return [document for document in yaml.safe_load_all(ran.stdout) if document]

    return documents


@pytest.fixture(scope="package")
def install(helm: Run, kubectl: Run) -> Iterator[Callable[..., None]]:
    """Installs or upgrades the release, with more values if given, and waits until it is ready. After the tests of the
    chart it goes, as its servers take CPU time from others.
    """
    repository, _, tag = os.environ.get("IMAGE", "localhost/longtask:dev").rpartition(":")
    # The tag says nothing about whether the image is the one that runs already.
    pods = {"annotations": {"longtask.dev/tested-at": str(time.time())}}
    values = VALUES | {"image": {"repository": repository, "tag": tag}, "pods": pods}

    def upgrade(**more: Any) -> None:
        command = ["upgrade", "--install", RELEASE, str(CHART), "-n", SYSTEM, "--create-namespace", "--values", "-"]
        # Somebody may have applied the CRDs by hand on a cluster for tests.
        ran = helm(*command, "--take-ownership", "--wait", "--timeout", f"{PATIENCE}s", stdin=json.dumps(values | more))
        assert ran.returncode == 0, ran.stdout

    yield upgrade
    helm("uninstall", RELEASE, "-n", SYSTEM, "--ignore-not-found")


@pytest.fixture(scope="package")
def release(install: Callable[..., None]) -> None:
    """The release is there, made with VALUES."""
    install()


def _runner(program: str) -> Run:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f'{program} is not on the PATH: eval "$(python3 -m tests.cluster env)"')

    def run(*arguments: str, stdin: str | None = None) -> Ran:
        command = [found, *arguments]
        return subprocess.run(
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TO_TELL + PATIENCE,
            check=False,
        )

    return run
