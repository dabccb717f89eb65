"""Artifacts of tasks as MCP resources: their URIs, and pages of those that are large. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from longtask_api.longtask import LongTask
from longtask_api.reports import Artifact

URI_TEMPLATE = "longtask://tasks/{task_id}/artifacts/{name}{?page}"
"""RFC 6570. `page` is only for content that is larger than a page."""
PAGE_BYTES = 512 * 1024
"""The most that one read gives. As Base64 in JSON it is a third more, and the Python SDK's client ends a session in
which an event has more than 1 MiB."""
IN_FULL = 6_000
"""Characters of the artifacts that an answer about a task describes; of all further ones it has the names."""
ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
"""Names of artifacts that the operator's task API accepts."""
_PATH = re.compile(r"/([^/]{1,256})/artifacts/([^/]{1,1024})")


@dataclass(frozen=True)
class ArtifactPage:
    """Which artifact is read; `page` is counted from 1, None for all of it."""

    task_id: str
    name: str
    page: int | None = None

    @property
    def uri(self) -> str:
        """The URI that is read for it."""
        query = f"?page={self.page}" if self.page is not None else ""
        return f"longtask://tasks/{self.task_id}/artifacts/{quote(self.name, safe='')}{query}"


def uri_of(task: LongTask, artifact: Artifact) -> str | None:
    """The URI of an artifact; None if the work only named it, so that the operator does not have its content."""
    return ArtifactPage(task.metadata.uid, artifact.name).uri if is_stored(artifact) else None


def is_stored(artifact: Artifact) -> bool:
    """Whether the operator has the content of an artifact."""
    known = artifact.uri and artifact.sha256 and artifact.size is not None
    return bool(known and ARTIFACT_NAME.fullmatch(artifact.name))


def in_full(artifacts: Sequence[Artifact]) -> int:
    """How many of the artifacts, the first ones, an answer describes."""
    room = IN_FULL
    for number, each in enumerate(artifacts):
        room -= len(each.name) + len(each.uri or "") + len(each.sha256 or "") + len(each.media_type or "")
        if room < 0:
            return number
    return len(artifacts)


def read_uri(uri: str) -> ArtifactPage | None:
    """What a URI names; None if it is not that of an artifact."""
    try:
        parts = urlsplit(uri)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        return None
    found, page = _PATH.fullmatch(parts.path), query.pop("page", None)
    if parts.scheme != "longtask" or parts.netloc != "tasks" or found is None or query or parts.fragment:
        return None
    if page is not None and not re.fullmatch(r"[1-9][0-9]{0,8}", page):
        return None
    return ArtifactPage(found[1].lower(), unquote(found[2]), int(page) if page is not None else None)
