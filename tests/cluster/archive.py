"""Image archives in the format of `docker save`, written without any daemon."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_from_files(target: Path, tag: str, files: Mapping[str, Path], entrypoint: Sequence[str]) -> None:
    """Write an image that holds only `files`: path in the image to file here, all executable."""
    layer = target.with_suffix(".layer")
    with tarfile.open(layer, "w") as tar:
        for path, source in files.items():
            member = tarfile.TarInfo(path)
            member.size = source.stat().st_size
            member.mode = 0o755
            with source.open("rb") as content:
                tar.addfile(member, content)
    write_from_layer(target, tag, layer, entrypoint=entrypoint)
    layer.unlink()


def write_from_layer(
    target: Path, tag: str, layer: Path, *, entrypoint: Sequence[str] = (), cmd: Sequence[str] = ()
) -> None:
    """Write an image with the uncompressed tar file `layer` as its only layer."""
    with layer.open("rb") as content:
        layer_id = hashlib.file_digest(content, "sha256").hexdigest()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": [_PATH], "Entrypoint": list(entrypoint), "Cmd": list(cmd)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_id}"]},
            "history": [{"created_by": "tests.cluster.archive"}],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [f"{layer_id}/layer.tar"]}]
    unfinished = target.with_suffix(".part")
    with tarfile.open(unfinished, "w") as tar:
        _add(tar, config_name, config)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
        tar.add(layer, f"{layer_id}/layer.tar")
    unfinished.replace(target)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
