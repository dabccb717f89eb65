"""Errors reported to agents; each text says what the agent can do."""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

Code = Literal[
    "answer_invalid",
    "artifact_too_large",
    "artifact_unavailable",
    "artifact_unreadable",
    "archive_unavailable",
    "idempotency_key_used",
    "internal_error",
    "invalid_arguments",
    "invalid_parameters",
    "kubernetes_unavailable",
    "no_checkpoint",
    "not_resumed",
    "question_answered",
    "question_closed",
    "question_not_found",
    "question_not_named",
    "refused_by_cluster",
    "request_refused",
    "start_refused",
    "task_client_needed",
    "task_not_ended",
    "task_not_found",
    "task_unreadable",
    "template_not_found",
    "template_not_ready",
    "tool_not_found",
    "too_many_tasks",
]
"""What programs know an error by. A code keeps its meaning; docs/agents.md has the table."""
FULL_SECONDS = 60
"""When to retry a start that exceeded a ResourceQuota, in seconds."""


class Problem(NamedTuple):
    """What is wrong with one argument; `path` is its name, or the path of a value within it."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class AgentError(Exception):
    """An error for the agent: a tool result with isError, its text unchanged.

    `code` identifies the error for programs. `retry_after_seconds` is when the same call may succeed; None if repeating
    it unchanged does not help. `problems` are those of single arguments.
    """

    code: Code = "internal_error"
    retry_after_seconds: int | None = None

    def __init__(
        self,
        text: str,
        code: Code | None = None,
        retry_after_seconds: int | None = None,
        problems: Iterable[Problem] = (),
    ) -> None:
        super().__init__(text)
        self.code = code or self.code
        self.retry_after_seconds = retry_after_seconds or self.retry_after_seconds
        self.problems = tuple(problems)

    @property
    def envelope(self) -> dict[str, Any]:
        """The error as a JSON object."""
        again = {"retry_after_seconds": self.retry_after_seconds} if self.retry_after_seconds is not None else {}
        fields = {"fields": [each._asdict() for each in self.problems]} if self.problems else {}
        return {"error_code": self.code, "message": str(self), **again, **fields}


class Crashed(AgentError):
    """A bug in this server; its log has the traceback."""

    retry_after_seconds = 5


class ToolNotFound(AgentError):
    """The tool does not exist (any more)."""

    code: Code = "tool_not_found"


class BadArguments(AgentError):
    """The arguments are invalid; the text names each invalid one."""

    code: Code = "invalid_arguments"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(str(each) for each in problems), problems=problems)


class BadRequest(AgentError):
    """The request was rejected unparsed: too large, too deep or too slow, or the server is busy or still starting."""

    code: Code = "request_refused"


class NotResumed(AgentError):
    """The server that had the call went away, and it cannot be resumed; the text says what to do."""

    code: Code = "not_resumed"
    retry_after_seconds = 1


class TaskNotFound(AgentError):
    """The task does not exist, or belongs to another caller."""

    code: Code = "task_not_found"


class ArtifactUnreadable(AgentError):
    """The artifact cannot be given as a resource: it is stored elsewhere, gone, or too large for one read."""

    code: Code = "artifact_unreadable"


class ArtifactUnavailable(AgentError):
    """The artifact cannot be fetched now; it is not lost."""

    code: Code = "artifact_unavailable"
    retry_after_seconds = 30


class StartRefused(AgentError):
    """Nothing was started; the text says why."""

    code: Code = "start_refused"


class AnswerRefused(AgentError):
    """The answer to a question was rejected; the text says why."""

    code: Code = "answer_invalid"


class KubernetesUnavailable(AgentError):
    """The API server did not answer or asked to retry later; it is unknown whether a write took effect."""

    code: Code = "kubernetes_unavailable"
    retry_after_seconds = 5

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The Kubernetes API does not answer now ({cause[:200]}). Make the same call again in a few seconds: "
            "tasks go on, and a start or an answer that did happen is met, not repeated."
        )


class KubernetesRefused(AgentError):
    """The API server rejected the request: quota, admission policy, schema."""

    code: Code = "refused_by_cluster"

    def __init__(self, message: str) -> None:
        text = f"The cluster refused it: {message[:1000]}"
        if "exceeded quota" in message:
            advice = "Make the same call again when other tasks there have ended or were removed."
            super().__init__(f"{text.rstrip('.')}. {advice}", retry_after_seconds=FULL_SECONDS)
        else:
            super().__init__(text)


class TaskUnreadable(AgentError):
    """The task does not fit this server's model, for example because the CRDs are of a newer release."""

    code: Code = "task_unreadable"
    retry_after_seconds = 60

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Task {name} is in the cluster, in a form that this server cannot read; its CRDs may be of a newer "
            "release than the server, as in an upgrade. The task goes on. Make the same call again in a minute; where "
            "that does not help, tell whoever runs the server: its log says what it cannot read."
        )


class ArchiveUnavailable(AgentError):
    """The archive did not answer; it is unknown whether it has the task."""

    code: Code = "archive_unavailable"
    retry_after_seconds = 30

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The task is not in the cluster (any more), and the archive of ended tasks cannot be asked now: "
            f"{cause[:500].rstrip('.')}. Nothing is lost. Make the same call again in 30 seconds."
        )
