"""Images in the containerd of the local cluster."""

import json
from pathlib import Path

from tests.cluster.paths import CACHE, IMAGES, RUN
from tests.cluster.steps import run, say, succeeds, wait_until

_SOCKET = RUN / "system" / "containerd" / "containerd.sock"
_LOADED = RUN / "loaded-images.json"  # archive path: what it was when it was loaded
_CTR = ("ctr", "--address", _SOCKET, "--namespace", "k8s.io")


def snapshotter() -> str:
    """An overlay cannot lie upon an overlay, as inside a container; then files are copied."""
    kind = run(["stat", "--file-system", "--format=%T", CACHE]).strip()
    return "native" if kind == "overlayfs" else "overlayfs"


def wait() -> None:
    """Wait until containerd answers."""
    wait_until("containerd (containerd.log)", lambda: succeeds([*_CTR, "version"]), timeout=30)
    say("containerd answers")


def load_all() -> None:
    """Load every archive in IMAGES: `up` starts with an empty containerd."""
    for archive in sorted(IMAGES.glob("*.tar")):
        load(archive)


def load(archive: Path) -> None:
    """Load a docker-archive or oci-archive, unless this very file has been loaded."""
    archive = archive.resolve()
    loaded: dict[str, list[int]] = json.loads(_LOADED.read_text()) if _LOADED.exists() else {}
    status = archive.stat()
    identity = [status.st_size, status.st_mtime_ns]
    if loaded.get(str(archive)) == identity:
        say(f"{archive.name} is loaded already")
        return
    run([*_CTR, "images", "import", "--snapshotter", snapshotter(), archive])
    _LOADED.write_text(json.dumps({**loaded, str(archive): identity}))
    say(f"loaded {archive.name}")
