"""The images that the local cluster itself needs, each one static program from BIN."""

from tests.cluster import addresses, archive
from tests.cluster.paths import BIN, IMAGES
from tests.cluster.steps import say

_TAGS = {"pause": addresses.PAUSE_IMAGE, "coredns": addresses.COREDNS_IMAGE}


def ensure() -> None:
    """Write their archives into IMAGES where a program is newer."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, tag in _TAGS.items():
        target, program = IMAGES / f"{name}.tar", BIN / name
        if target.exists() and target.stat().st_mtime >= program.stat().st_mtime:
            continue
        archive.write_from_files(target, tag, {name: program}, [f"/{name}"])
        say(f"made {tag}")
