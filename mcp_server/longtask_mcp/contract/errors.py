"""Errors reported to agents; each text says what the agent can do."""

from typing import Any

FULL_SECONDS = 60
"""When to retry a start that exceeded a ResourceQuota, in seconds."""


class AgentError(Exception):
    """An error for the agent: a tool result with isError, its text unchanged.

    `code` identifies the error for programs. `poll_after_seconds` is when the same call may succeed; None if repeating
    it unchanged does not help.
    """

    code = "internal_error"
    poll_after_seconds: int | None = None

    def __init__(self, text: str, code: str | None = None, poll_after_seconds: int | None = None) -> None:
        super().__init__(text)
        self.code = code or self.code
        self.poll_after_seconds = poll_after_seconds or self.poll_after_seconds

    @property
    def envelope(self) -> dict[str, Any]:
        """The error as a JSON object."""
        again = {"poll_after_seconds": self.poll_after_seconds} if self.poll_after_seconds is not None else {}
        return {"error_code": self.code, "message": str(self), **again}


class Crashed(AgentError):
    """A bug in this server; its log has the traceback."""

    poll_after_seconds = 5


class ToolNotFound(AgentError):
    """The tool does not exist (any more)."""

    code = "tool_not_found"


class BadArguments(AgentError):
    """The arguments are invalid; the text names each invalid one."""

    code = "invalid_arguments"


class BadRequest(AgentError):
    """The request was rejected unparsed: too large, too deep or too slow, or the server is busy or still starting."""

    code = "request_refused"


class NotResumed(AgentError):
    """The server that had the call went away, and it cannot be resumed; the text says what to do."""

    code = "not_resumed"
    poll_after_seconds = 1


class TaskNotFound(AgentError):
    """The task does not exist, or belongs to another caller."""

    code = "task_not_found"


class StartRefused(AgentError):
    """Nothing was started; the text says why."""

    code = "start_refused"


class AnswerRefused(AgentError):
    """The answer to a question was rejected; the text says why."""

    code = "answer_refused"


class KubernetesUnavailable(AgentError):
    """The API server did not answer or asked to retry later; it is unknown whether a write took effect."""

    code = "kubernetes_unavailable"
    poll_after_seconds = 5

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The Kubernetes API does not answer now ({cause[:200]}). Make the same call again in a few seconds: "
            "tasks go on, and a start or an answer that did happen is met, not repeated."
        )


class KubernetesRefused(AgentError):
    """The API server rejected the request: quota, admission policy, schema."""

    code = "refused_by_cluster"

    def __init__(self, message: str) -> None:
        text = f"The cluster refused it: {message[:1000]}"
        if "exceeded quota" in message:
            advice = "Make the same call again when other tasks there have ended or were removed."
            super().__init__(f"{text.rstrip('.')}. {advice}", poll_after_seconds=FULL_SECONDS)
        else:
            super().__init__(text)


class TaskUnreadable(AgentError):
    """The task does not fit this server's model, for example because the CRDs are of a newer release."""

    code = "task_unreadable"
    poll_after_seconds = 60

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Task {name} is in the cluster, in a form that this server cannot read; its CRDs may be of a newer "
            "release than the server, as in an upgrade. The task goes on. Make the same call again in a minute; where "
            "that does not help, tell whoever runs the server: its log says what it cannot read."
        )


class ArchiveUnavailable(AgentError):
    """The archive did not answer; it is unknown whether it has the task."""

    code = "archive_unavailable"
    poll_after_seconds = 30

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The task is not in the cluster (any more), and the archive of ended tasks cannot be asked now: "
            f"{cause[:500].rstrip('.')}. Nothing is lost. Make the same call again in 30 seconds."
        )
