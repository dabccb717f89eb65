"""The operator's rights are taken away while it runs: it says so, and is not ready."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess

KINDS = ("longtasks", "longtasktemplates", "jobs", "pods")
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def test_an_operator_without_rights_hears_nothing_and_says_what_is_refused(
    new_namespace: Callable[[], Kube], tmp_path: Path
) -> None:
    kube = new_namespace()
    binding = bound(kube, "operator")
    process = OperatorProcess(
        kube.namespace, tmp_path / "log", kubeconfig=kubeconfig(kube, "operator", tmp_path / "kubeconfig")
    )
    try:
        process.start()
        kube.request("DELETE", binding).done()
        words = eventually(lambda: readiness(process), lambda said: all(kind in said for kind in KINDS))
        assert words.startswith("nothing was heard of ")
        assert words.count("the API server refuses: 403 Forbidden") == len(KINDS)
        for kind in KINDS:
            assert process.metric(f'longtask_watch_age_seconds{{resource="{kind}"}}') > 45
        bound(kube, "operator")
        process.wait_ready()
    finally:
        process.kill()


def bound(kube: Kube, account: str) -> str:
    """The account, if need be, with all rights in the namespace; the path of the binding that gives them."""
    base = f"{RBAC}/namespaces/{kube.namespace}"
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    kube.create(f"/api/v1/namespaces/{kube.namespace}/serviceaccounts", {"metadata": {"name": account}})
    kube.create(f"{base}/roles", {"metadata": {"name": account}, "rules": everything})
    body = {
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": kube.namespace}],
    }
    kube.create(f"{base}/rolebindings", body).done()
    return f"{base}/rolebindings/{account}"


def kubeconfig(kube: Kube, account: str, path: Path) -> str:
    """The cluster of KUBECONFIG, with the account's token."""
    request = {"spec": {"expirationSeconds": 3600}}
    accounts = f"/api/v1/namespaces/{kube.namespace}/serviceaccounts"
    token = kube.create(f"{accounts}/{account}/token", request).done()["status"]["token"]
    document = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    for each in document["users"]:
        each["user"] = {"token": token}
    path.write_text(yaml.safe_dump(document))
    return str(path)


def readiness(process: OperatorProcess) -> str:
    """What /readyz says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{process.health_port}/readyz", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        return refusal.read().decode()
