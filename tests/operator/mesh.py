"""An injector as service meshes have one: it puts its container before those of a pod."""

import base64
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kube import Kube
from tests.operator.process import HOST_ADDRESS
from tests.operator.tasks import container
from tests.patience import PATIENCE

HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
LABEL = {"mesh": "yes"}
PROXY = container(
    name="mesh-proxy",
    command=["python3", "-c", "import time; print('proxy', flush=True); time.sleep(4)"],
    resources={"limits": {"memory": "64Mi"}},
)


@contextmanager
def injecting(kube: Kube, folder: Path) -> Iterator[None]:
    """Within the block pods of the namespace with the label get the proxy."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    names = ("-subj", f"/CN={HOST_ADDRESS}", "-addext", f"subjectAltName=IP:{HOST_ADDRESS}")
    request = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names)
    command = [*request, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    server = http.server.ThreadingHTTPServer((str(HOST_ADDRESS), 0), _Injector)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = _hook(kube.namespace, server.server_address[1], certificate.read_bytes())
    name = kube.create(HOOKS, hook).done()["metadata"]["name"]
    try:
        yield
    finally:
        kube.request("DELETE", f"{HOOKS}/{name}")
        server.shutdown()
        server.server_close()


class _Injector(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        patch = [{"op": "add", "path": "/spec/containers/0", "value": PROXY}]
        response = {"uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch"}
        response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
        answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


def _hook(namespace: str, port: int, certificate: bytes) -> dict[str, Any]:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    client = {"url": f"https://{HOST_ADDRESS}:{port}/", "caBundle": base64.b64encode(certificate).decode()}
    webhook = {
        "name": "inject.mesh.example",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 5,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchLabels": LABEL},
        "rules": [rule],
        "clientConfig": client,
    }
    return {"metadata": {"generateName": "longtask-tests-mesh-"}, "webhooks": [webhook]}
