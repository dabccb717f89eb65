"""Image builds as root without a daemon. RUN steps have this machine's network and pip settings.

What a RUN step needs of the machine is mounted for the build alone; the image keeps none of it.
"""

import json
import os
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import containerd
from tests.cluster.paths import BUILDAH
from tests.cluster.steps import run, run_with_progress, succeeds

_IMAGE_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def pull(archive: Path, tag: str) -> None:
    """Make the image in a docker-archive known to buildah, if this one is not."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        identity = json.load(manifest)[0]["Config"].removesuffix(".json")
    if not succeeds([*_buildah(), "inspect", "--type", "image", identity]):
        run([*_buildah(), "pull", f"docker-archive:{archive}"])
    run([*_buildah(), "tag", identity, tag])


def build(context: Path, dockerfile: Path, tag: str, options: Sequence[str]) -> str:
    """Build an image and return its identity, which is the same if nothing changed."""
    # --force-rm: a stage of another image and no step would stay behind as a container with its mounts.
    bud = (*_buildah(), "bud", "--isolation", "chroot", "--pull-never", "--layers", "--force-rm")
    run_with_progress(
        (*bud, "--file", dockerfile, "--tag", tag, *_mounts(), *options, context),
        lambda lines: f"buildah: {lines} lines of output",
    )
    return run([*_buildah(), "inspect", "--type", "image", "--format", "{{.FromImageID}}", tag])


def save(tag: str, archive: Path) -> None:
    """Write an image as a docker-archive to a path where nothing is."""
    run([*_buildah(), "push", tag, f"docker-archive:{archive}:{tag}"])


def end() -> None:
    """Remove what a build that was killed left behind: its containers and their mounts. Images stay."""
    if (BUILDAH / "storage").exists() and shutil.which("buildah"):
        run([*_buildah(), "rm", "--all"])


def _buildah() -> list[str]:
    driver = "vfs" if containerd.snapshotter() == "native" else "overlay"
    places = ("--root", f"{BUILDAH}/storage", "--runroot", f"{BUILDAH}/run")
    return ["buildah", *places, "--storage-driver", driver]


def _mounts() -> list[str]:
    """Mount this machine's certificates, pip settings and local wheels where a RUN step looks."""
    settings = _pip_settings()
    places: dict[str, str] = {}
    certificates = settings.pop("cert", None) or os.environ.get("SSL_CERT_FILE")
    certificates = certificates or _IMAGE_CERTIFICATES
    if Path(certificates).exists():
        places[_IMAGE_CERTIFICATES] = certificates
        settings["cert"] = _IMAGE_CERTIFICATES
    wheels = settings.get("find-links", "").split()
    places |= {folder: folder for folder in wheels if Path(folder).is_dir()}
    if settings:
        BUILDAH.mkdir(parents=True, exist_ok=True)
        pip_conf = BUILDAH / "pip.conf"
        lines = [f"{name} = {value}" for name, value in sorted(settings.items())]
        pip_conf.write_text("\n".join(["[global]", *lines, ""]))
        places["/etc/pip.conf"] = str(pip_conf)
    return [word for to, here in places.items() for word in ("--volume", f"{here}:{to}:ro")]


def _pip_settings() -> dict[str, str]:
    """What `pip config list` prints as `section.name='value'`; the environment's word counts."""
    pip = [sys.executable, "-m", "pip"]
    if not succeeds([*pip, "--version"]):
        if not (found := shutil.which("pip3")):
            return {}
        pip = [found]
    settings: dict[str, str] = {}
    for line in run([*pip, "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section == ":env:" or (section == "global" and name not in settings):
            settings[name] = value.strip("'\"").replace("\\n", " ")
    return settings
