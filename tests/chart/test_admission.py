"""The API server takes every manifest, and Pod Security "restricted" every pod."""

from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.chart.conftest import VALUES, Document, Run

DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict", "-f", "-")


@pytest.fixture(scope="module")
def rendered(render: Callable[..., list[Document]], release: None) -> list[Document]:
    return render(VALUES)


@pytest.fixture(scope="module")
def restricted(kubectl: Run) -> Iterator[str]:
    """A namespace that admits restricted pods only."""
    name = "longtask-chart-restricted"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    ran = kubectl("apply", "-f", "-", stdin=yaml.safe_dump(namespace))
    assert ran.returncode == 0, ran.stdout
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def pods(documents: list[Document]) -> Iterator[Document]:
    """Every pod that comes of the manifests, as the Pod it would be."""
    for document in documents:
        match document["kind"]:
            case "Pod":
                spec = document["spec"]
            case "Deployment":
                spec = document["spec"]["template"]["spec"]
            case "LongTaskTemplate":
                spec = document["spec"]["podTemplate"]["spec"] | {"restartPolicy": "Never"}
            case _:
                continue
        name = f"{document['kind']}-{document['metadata']['name']}".lower()
        # The account is not there; none of these pods will run.
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {key: value for key, value in spec.items() if key != "serviceAccountName"},
        }


def test_the_api_server_takes_every_manifest(kubectl: Run, rendered: list[Document]) -> None:
    # The pod of `helm test` wants its service account; the next test has it.
    manifests = [document for document in rendered if document["kind"] != "Pod"]
    ran = kubectl(*DRY_RUN, stdin=yaml.safe_dump_all(manifests))
    assert ran.returncode == 0, ran.stdout
    assert "deprecated" not in ran.stdout
    assert ran.stdout.count("(server dry run)") == len(manifests)


def test_every_pod_is_restricted(kubectl: Run, rendered: list[Document], restricted: str) -> None:
    found = list(pods(rendered))
    assert len(found) == 4
    for pod in found:
        ran = kubectl("-n", restricted, *DRY_RUN, stdin=yaml.safe_dump(pod))
        assert ran.returncode == 0, ran.stdout
        assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in pod["spec"]["containers"])
