"""Keys, certificates and kubeconfigs of the local cluster, made with openssl."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster import addresses
from tests.cluster.paths import CONFIG, CONTEXT, KUBECONFIG
from tests.cluster.steps import run

_NODE = f"/O=system:nodes/CN=system:node:{addresses.NODE_NAME}"

# name: (subject, section of config/openssl.cnf)
_CERTIFICATES = {
    "kube-apiserver": ("/CN=kube-apiserver", "apiserver"),
    "kubelet-server": (_NODE, "kubelet-server"),
    "apiserver-kubelet-client": ("/O=system:masters/CN=apiserver-kubelet-client", "client"),
    "admin": ("/O=system:masters/CN=admin", "client"),
    "kube-controller-manager": ("/CN=system:kube-controller-manager", "client"),
    "kube-scheduler": ("/CN=system:kube-scheduler", "client"),
    "kubelet": (_NODE, "client"),
    "kube-proxy": ("/CN=system:kube-proxy", "client"),
}
_KUBECONFIGS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


def write(folder: Path) -> None:
    """Write every key and certificate into `folder`, and the administrator's KUBECONFIG."""
    folder.mkdir(mode=0o700, parents=True)
    _certificate(folder, "authority", "/CN=longtask-test-authority", "authority")
    with ThreadPoolExecutor(max_workers=4) as pool:
        # RSA, so that ServiceAccount tokens are RS256 as in a usual cluster.
        tokens = pool.submit(_service_account_key, folder)
        certificates = [
            pool.submit(_certificate, folder, name, subject, section)
            for name, (subject, section) in _CERTIFICATES.items()
        ]
        for made in [tokens, *certificates]:
            made.result()
    for name in _KUBECONFIGS:
        _kubeconfig(folder, name, folder / f"{name}.kubeconfig")
    _kubeconfig(folder, "admin", KUBECONFIG)


def _certificate(folder: Path, name: str, subject: str, section: str) -> None:
    signer = ["-CA", folder / "authority.crt", "-CAkey", folder / "authority.key"]
    command = (
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-noenc", "-days", "3650", "-subj", subject),
        *("-config", CONFIG / "openssl.cnf", "-extensions", section),
        *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
        *(() if name == "authority" else signer),
    )
    run(command, env=addresses.SUBSTITUTIONS)


def _service_account_key(folder: Path) -> None:
    key = folder / "service-account.key"
    run(["openssl", "genrsa", "-out", key, "2048"])
    run(["openssl", "rsa", "-in", key, "-pubout", "-out", folder / "service-account.pub"])


def _kubeconfig(folder: Path, name: str, target: Path) -> None:
    def encoded(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    target.touch(mode=0o600)
    target.write_text(f"""\
apiVersion: v1
kind: Config
current-context: {CONTEXT}
contexts:
  - name: {CONTEXT}
    context: {{cluster: {CONTEXT}, user: {name}}}
clusters:
  - name: {CONTEXT}
    cluster:
      server: {addresses.API_SERVER}
      certificate-authority-data: {encoded("authority.crt")}
users:
  - name: {name}
    user:
      client-certificate-data: {encoded(f"{name}.crt")}
      client-key-data: {encoded(f"{name}.key")}
""")
