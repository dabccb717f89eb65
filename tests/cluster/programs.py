"""The Go programs of the cluster, built from the modules in programs/ into the cache.

A stamp beside each program holds the hash of the module it was built from, so a changed go.mod
rebuilds and the results, not Go's build cache, are what has to be kept.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.paths import BIN, PROGRAMS
from tests.cluster.steps import run, run_with_progress, say

CLIENTS = ("kubectl", "helm")
CLUSTER = (
    *CLIENTS,
    "coredns",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "pause",
)
KWOK_STAGES = BIN.parent / "kwok"

_PACKAGES = {
    "coredns": "./coredns",
    "etcd": "go.etcd.io/etcd/server/v3",
    "helm": "helm.sh/helm/v3/cmd/helm",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "pause": "./pause",
}
_STAMPS = BIN / ".built-from"


def build(names: Iterable[str]) -> None:
    """Make sure that the named programs are in BIN. A first build takes minutes on two cores."""
    _build(PROGRAMS, {name: _PACKAGES[name] for name in names})


def build_kwok() -> None:
    """Put kwok into BIN, and the stages that make its nodes Ready into KWOK_STAGES.

    kwok shares no module graph with the rest: it needs newer libraries of Kubernetes.
    """
    module = PROGRAMS / "kwok"
    if not _build(module, {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}) and KWOK_STAGES.exists():
        return
    source = run(["go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], cwd=module).strip()
    KWOK_STAGES.mkdir(parents=True, exist_ok=True)
    for stage in ("fast/node-initialize", "heartbeat-with-lease/node-heartbeat-with-lease"):
        file = Path(source, "kustomize/stage/node", stage).with_suffix(".yaml")
        shutil.copyfile(file, KWOK_STAGES / file.name)


def build_versitygw() -> None:
    """Put versitygw, an S3 server over a folder (https://github.com/versity/versitygw), into BIN.

    Its libraries are newer than Kubernetes', so it has a module of its own too.
    """
    _build(PROGRAMS / "versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"})


def build_prometheus() -> None:
    """Put prometheus and promtool into BIN, without the discovery of targets, which has every cloud's libraries."""
    package = "github.com/prometheus/prometheus/cmd"
    names = ("prometheus", "promtool")
    _build(PROGRAMS / "prometheus", {name: f"{package}/{name}" for name in names}, tags="remove_all_sd")


def _build(module: Path, packages: dict[str, str], tags: str = "") -> bool:
    """Build what is missing or stale; whether anything was."""
    fingerprint = _fingerprint(module)
    stale = [name for name in packages if _stamp(name) != fingerprint]
    if not stale:
        return False
    _require_go(module)
    say(f"building {', '.join(stale)}")
    targets = [packages[name] for name in stale]
    listed = run_with_progress(
        ["go", "list", "-tags", tags, "-deps", *targets],
        lambda lines: f"fetching Go modules: {lines} so far",
        cwd=module,
    )
    total = len(listed.splitlines())
    say(f"  {total} packages, those that Go's build cache lacks are compiled")
    fresh = BIN.parent / "bin.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    go_build = (
        "go",
        "build",
        "-v",
        "-trimpath",
        "-buildvcs=false",
        "-tags",
        tags,
        "-ldflags",
        _linker_flags(module),
    )
    run_with_progress(
        (*go_build, "-o", f"{fresh}/", *targets),
        lambda compiled: f"compiled {compiled} of at most {total} packages (5 to 7 minutes if all)",
        cwd=module,
        env={"CGO_ENABLED": "0"},
    )
    # Go names a program after the last part of its path that is no version.
    if (fresh / "server").exists():
        (fresh / "server").rename(fresh / "etcd")
    _STAMPS.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (fresh / name).replace(BIN / name)
        (_STAMPS / name).write_text(fingerprint)
    shutil.rmtree(fresh)
    say(f"built {len(stale)} programs")
    return True


def _stamp(name: str) -> str:
    stamp = _STAMPS / name
    return stamp.read_text() if stamp.exists() and (BIN / name).exists() else ""


def _fingerprint(module: Path) -> str:
    """SHA-256 over the module's own files and the flags; a module inside it counts for itself."""
    digest = hashlib.sha256(_linker_flags(module).encode())
    for folder, subfolders, files in os.walk(module):
        subfolders[:] = sorted(name for name in subfolders if not Path(folder, name, "go.mod").exists())
        for name in sorted(files):
            path = Path(folder, name)
            digest.update(f"{path.relative_to(module)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _linker_flags(module: Path) -> str:
    """Flags that tell the programs their versions; else Kubernetes says v0.0.0 and Helm v1.20."""
    versions = dict(re.findall(r"^\s+(\S+) (v\S+)", (module / "go.mod").read_text(), re.MULTILINE))
    variables: dict[str, str] = {}
    if kubernetes := versions.get("k8s.io/kubernetes"):
        major, minor, _ = kubernetes.removeprefix("v").split(".")
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            variables[f"{package}.gitVersion"] = kubernetes
            variables[f"{package}.gitMajor"] = major
            variables[f"{package}.gitMinor"] = minor
            variables[f"{package}.gitTreeState"] = "clean"
        for package in ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"):
            variables[f"{package}.k8sVersionMajor"] = major
            variables[f"{package}.k8sVersionMinor"] = minor
        variables["helm.sh/helm/v3/internal/version.version"] = versions["helm.sh/helm/v3"]
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in variables.items())])


def _require_go(module: Path) -> None:
    if shutil.which("go") is None:
        os.environ["PATH"] += ":/usr/local/go/bin"
    wanted = re.search(r"^go (\d+)\.(\d+)", (module / "go.mod").read_text(), re.MULTILINE)
    assert wanted is not None
    # Go 1.21 and later fetch the version that a module wants, unless GOTOOLCHAIN=local.
    found = run(["go", "env", "GOVERSION", "GOTOOLCHAIN"]) if shutil.which("go") else "none"
    version = re.match(r"go(\d+)\.(\d+)", found)
    enough = (1, 21) if found.splitlines()[-1] == "auto" else (int(wanted[1]), int(wanted[2]))
    if version is None or (int(version[1]), int(version[2])) < enough:
        raise ClusterError(
            f"{wanted[0]} or later is needed to build the cluster's programs, here is "
            f"{version[0] if version else 'none'}: unpack an archive from https://go.dev/dl/ into "
            "/usr/local (Debian 12's own golang package is too old), then run this again"
        )
