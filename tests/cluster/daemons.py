"""The command lines of the programs that make up the local cluster."""

from collections.abc import Mapping

from tests.cluster import addresses
from tests.cluster.paths import AUDIT_LOG, BIN, RUN

_PKI = RUN / "pki"
_CONFIG = RUN / "config"

# Whom the API server believes about users of aggregated APIs; unset, other programs log errors.
_REQUEST_HEADERS = (
    f"--requestheader-client-ca-file={_PKI}/authority.crt",
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
)

# name: arguments, the program first. These need nothing but each other.
FIRST: Mapping[str, tuple[str, ...]] = {
    "containerd": ("containerd", "--config", f"{_CONFIG}/containerd.toml"),
    "etcd": (
        f"{BIN}/etcd",
        f"--data-dir={RUN}/etcd",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
        "--log-level=warn",
        "--unsafe-no-fsync",  # the data need not outlive the machine
    ),
    "kube-apiserver": (
        f"{BIN}/kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=0.0.0.0",
        "--secure-port=6443",
        f"--advertise-address={addresses.NODE_IP}",
        f"--tls-cert-file={_PKI}/kube-apiserver.crt",
        f"--tls-private-key-file={_PKI}/kube-apiserver.key",
        f"--client-ca-file={_PKI}/authority.crt",
        *_REQUEST_HEADERS,
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={_PKI}/service-account.pub",
        f"--service-account-signing-key-file={_PKI}/service-account.key",
        f"--service-cluster-ip-range={addresses.SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-client-certificate={_PKI}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={_PKI}/apiserver-kubelet-client.key",
        f"--kubelet-certificate-authority={_PKI}/authority.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        f"--audit-policy-file={_CONFIG}/audit-policy.yaml",
        f"--audit-log-path={AUDIT_LOG}",
        "--audit-log-maxsize=2000",  # megabytes; one file, so that a count needs no other
    ),
}

# These would fail or retry until the API server is ready.
THEN: Mapping[str, tuple[str, ...]] = {
    "kubelet": (
        f"{BIN}/kubelet",
        f"--config={_CONFIG}/kubelet.yaml",
        f"--kubeconfig={_PKI}/kubelet.kubeconfig",
        f"--hostname-override={addresses.NODE_NAME}",
        f"--node-ip={addresses.NODE_IP}",
    ),
    "kube-controller-manager": (
        f"{BIN}/kube-controller-manager",
        f"--kubeconfig={_PKI}/kube-controller-manager.kubeconfig",
        f"--authentication-kubeconfig={_PKI}/kube-controller-manager.kubeconfig",
        f"--authorization-kubeconfig={_PKI}/kube-controller-manager.kubeconfig",
        "--bind-address=127.0.0.1",
        f"--service-account-private-key-file={_PKI}/service-account.key",
        f"--root-ca-file={_PKI}/authority.crt",
        f"--cluster-signing-cert-file={_PKI}/authority.crt",
        f"--cluster-signing-key-file={_PKI}/authority.key",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        # The node's addresses are in the CNI configuration; two sources would disagree.
        "--allocate-node-cidrs=false",
        "--kube-api-qps=500",
        "--kube-api-burst=500",
        "--concurrent-job-syncs=20",
        f"--flex-volume-plugin-dir={RUN}/volume-plugins",
    ),
    "kube-scheduler": (
        f"{BIN}/kube-scheduler",
        f"--config={_CONFIG}/kube-scheduler.yaml",
        f"--authentication-kubeconfig={_PKI}/kube-scheduler.kubeconfig",
        f"--authorization-kubeconfig={_PKI}/kube-scheduler.kubeconfig",
        "--bind-address=127.0.0.1",
    ),
    "kube-proxy": (f"{BIN}/kube-proxy", f"--config={_CONFIG}/kube-proxy.yaml"),
}
