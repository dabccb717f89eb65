"""Building an image from a Dockerfile, with Docker if it answers, else with buildah."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import base_image, buildah
from tests.cluster.paths import IMAGES
from tests.cluster.provider import docker_answers
from tests.cluster.steps import run, run_with_progress, say


def build(*, context: Path, dockerfile: Path, tag: str, build_arguments: Sequence[str]) -> Path:
    """Build and return an archive of the image in IMAGES, unchanged if nothing changed.

    buildah builds with BASE=localhost/python-base, for there is no registry to pull from.
    """
    IMAGES.mkdir(parents=True, exist_ok=True)
    archive = IMAGES / f"{tag.replace('/', '_').replace(':', '_')}.tar"
    say(f"building {tag}")
    options = [word for pair in build_arguments for word in ("--build-arg", pair)]
    if docker_answers():
        identity = _docker_build(context, dockerfile, tag, options)
    else:
        buildah.pull(base_image.ensure(), base_image.TAG)
        options = ["--build-arg", f"BASE={base_image.TAG}", *options]
        identity = buildah.build(context, dockerfile, tag, options)
    stamp = archive.with_suffix(".id")
    if archive.exists() and stamp.exists() and stamp.read_text() == identity:
        say(f"{tag} is unchanged")
        return archive
    unfinished = archive.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    if docker_answers():
        run(["docker", "save", "--output", unfinished, tag])
    else:
        buildah.save(tag, unfinished)
    unfinished.replace(archive)
    stamp.write_text(identity)
    say(f"built {archive.name}, {archive.stat().st_size / 1e6:.0f} MB")
    return archive


def _docker_build(context: Path, dockerfile: Path, tag: str, options: Sequence[str]) -> str:
    run_with_progress(
        ["docker", "build", "--file", dockerfile, "--tag", tag, *options, context],
        lambda lines: f"docker build: {lines} lines of output",
        env={"DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "1")},
    )
    return run(["docker", "image", "inspect", "--format", "{{.Id}}", tag]).strip()
