"""Admission policies of the chart in a namespace of a test."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from longtask_api import constants
from longtask_api.base import rfc3339
from tests.kube import Kube, eventually

CHART = Path(__file__).resolve().parents[1] / "charts" / "longtask"
KUBERNETES = "1.34.4"
PATH = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}


@contextlib.contextmanager
def leader_policy(kube: Kube) -> Iterator[None]:
    """What comes after its term is refused in the namespace."""
    late = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "late",
            "annotations": {constants.ANNOTATION_NOT_AFTER: rfc3339(datetime.now(UTC) - timedelta(seconds=5))},
        },
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}}},
    }
    jobs = f"/apis/batch/v1/namespaces/{kube.namespace}/jobs"
    with _applied(kube, "leader-policy", lambda: kube.create(jobs, late, dryRun="All").code == 403):
        yield


@contextlib.contextmanager
def _applied(kube: Kube, name: str, in_force: Callable[[], bool]) -> Iterator[None]:
    helm = shutil.which("helm")
    assert helm, 'helm is not on the PATH: eval "$(python3 -m tests.cluster env)"'
    # The release's namespace is in the names of its policies, so that tests have policies of their own.
    command = [helm, "template", "longtask", str(CHART), "--namespace", f"{kube.namespace}-system"]
    command += ["--set", f"taskNamespace.name={kube.namespace}", "--show-only", f"templates/{name}.yaml"]
    rendered = subprocess.run([*command, "--kube-version", KUBERNETES], check=True, capture_output=True, text=True)
    documents = list(yaml.safe_load_all(rendered.stdout))
    try:
        for document in documents:
            kube.create(f"{PATH}/{PLURALS[document['kind']]}", document).done()
        eventually(in_force, bool)
        yield
    finally:
        for document in documents:
            kube.request("DELETE", f"{PATH}/{PLURALS[document['kind']]}/{document['metadata']['name']}")
