"""A Debian image with Python, unpacked from .deb files: it takes seconds.

apt fetches and verifies the packages of this machine's Debian; no maintainer script runs, so the
image has no dpkg database and no apt: it is there to install Python packages into.
"""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster import archive, packages
from tests.cluster.paths import IMAGES
from tests.cluster.steps import run, say

TAG = "localhost/python-base:3"  # raise the number when the recipe changes
ARCHIVE = IMAGES / "localhost_python-base_3.tar"

_PACKAGES = (
    *("base-files", "bash", "ca-certificates", "coreutils", "curl", "dash", "grep", "libc-bin", "libstdc++6", "sed"),
    *("python3", "python3-pip", "python3-venv"),
)
_UNWANTED = ("./usr/share/doc/*", "./usr/share/locale/*", "./usr/share/man/*")
_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/sh
nonroot:x:65532:65532:nonroot:/home/nonroot:/bin/sh
"""
_GROUP = """\
root:x:0:
nogroup:x:65534:
nonroot:x:65532:
"""


def ensure() -> Path:
    """The archive of the base image, made if it is not there."""
    if ARCHIVE.exists():
        return ARCHIVE
    say(f"making {TAG} from Debian packages")
    IMAGES.mkdir(parents=True, exist_ok=True)
    packages.refresh_lists()
    with tempfile.TemporaryDirectory(dir=IMAGES, prefix=".base-") as folder:
        root, layer = Path(folder, "root"), Path(folder, "layer.tar")
        _unpack(_download(Path(folder, "apt")), root)
        _finish(root)
        run(["tar", "--numeric-owner", "--sort=name", "-C", root, "-cf", layer, "."])
        archive.write_from_layer(ARCHIVE, TAG, layer, cmd=["python3"])
    say(f"made {TAG}, {ARCHIVE.stat().st_size / 1e6:.0f} MB")
    return ARCHIVE


def _download(folder: Path) -> list[Path]:
    """Have apt fetch the packages and all that they need onto a system that has nothing."""
    (folder / "archives" / "partial").mkdir(parents=True)
    (folder / "status").touch()
    settings = {
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
        "Dir::Cache": folder,
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::State::status": folder / "status",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    run(["apt-get", *options, "-qq", "-y", "--download-only", "install", *_PACKAGES])
    return sorted((folder / "archives").glob("*.deb"))


def _unpack(files: list[Path], root: Path) -> None:
    # The links come first, so that what packages ship in /bin lands in /usr/bin.
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    excludes = " ".join(f"--exclude='{pattern}'" for pattern in _UNWANTED)

    def unpack(file: Path) -> None:
        tar = f"tar -x --keep-directory-symlink {excludes} -C '{root}'"
        run(["bash", "-c", f"set -o pipefail; dpkg-deb --fsys-tarfile '{file}' | {tar}"])

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(unpack, files))


def _finish(root: Path) -> None:
    """Do what the maintainer scripts would have done, as far as Python needs it."""
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    home = root / "home/nonroot"
    home.mkdir(parents=True)
    shutil.chown(home, 65532, 65532)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(file.read_bytes() for file in certificates))
    (root / "usr/bin/python").symlink_to("python3")
    for marker in (root / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"):
        marker.unlink()  # the image has no other package manager than pip
    run(["ldconfig", "-r", root])
