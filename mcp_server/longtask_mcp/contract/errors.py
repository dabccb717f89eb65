"""Failures that an agent is told about, in words that say what it can do."""

from typing import Any

FULL_SECONDS = 60
"""When to try again what a quota has no room for now."""


class AgentError(Exception):
    """The text goes to the agent as it is, as a tool result with isError.

    `code` says for programs what happened, in one word; `poll_after_seconds`, when the same call may succeed: None
    where it will not, as it is.
    """

    code = "internal_error"
    poll_after_seconds: int | None = None

    def __init__(self, text: str, code: str | None = None, poll_after_seconds: int | None = None) -> None:
        super().__init__(text)
        self.code = code or self.code
        self.poll_after_seconds = poll_after_seconds or self.poll_after_seconds

    @property
    def envelope(self) -> dict[str, Any]:
        """The failure as a JSON object."""
        again = {"poll_after_seconds": self.poll_after_seconds} if self.poll_after_seconds is not None else {}
        return {"error_code": self.code, "message": str(self), **again}


class Crashed(AgentError):
    """A defect of this server; its log says more."""

    poll_after_seconds = 5


class ToolNotFound(AgentError):
    """There is no such tool (any more)."""

    code = "tool_not_found"


class BadArguments(AgentError):
    """The arguments do not fit; the text names each that does not."""

    code = "invalid_arguments"


class BadRequest(AgentError):
    """The request was not read: it is too large, too deep, too slow, or one of too many."""

    code = "request_refused"


class TaskNotFound(AgentError):
    """There is no such task, or it is another caller's."""

    code = "task_not_found"


class StartRefused(AgentError):
    """Nothing was started; the text says why."""

    code = "start_refused"


class AnswerRefused(AgentError):
    """No answer was given to a question; the text says why."""

    code = "answer_refused"


class KubernetesUnavailable(AgentError):
    """The API server did not answer, or asked to come back later; whether a write happened is not known."""

    code = "kubernetes_unavailable"
    poll_after_seconds = 5

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The Kubernetes API does not answer now ({cause[:200]}). Make the same call again in a few seconds: "
            "tasks go on, and a start or an answer that did happen is met, not repeated."
        )


class KubernetesRefused(AgentError):
    """The API server said no: quota, admission policy, schema."""

    code = "refused_by_cluster"

    def __init__(self, message: str) -> None:
        text = f"The cluster refused it: {message[:1000]}"
        if "exceeded quota" in message:
            advice = "Make the same call again when other tasks there have ended or were removed."
            super().__init__(f"{text.rstrip('.')}. {advice}", poll_after_seconds=FULL_SECONDS)
        else:
            super().__init__(text)


class TaskUnreadable(AgentError):
    """The cluster has the task in a form that this server does not know, such as that of a newer release."""

    code = "task_unreadable"
    poll_after_seconds = 60

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Task {name} is in the cluster, in a form that this server cannot read; its CRDs may be of a newer "
            "release than the server, as in an upgrade. The task goes on. Make the same call again in a minute; where "
            "that does not help, tell whoever runs the server: its log says what it cannot read."
        )


class ArchiveUnavailable(AgentError):
    """The archive did not answer; whether it has the task is not known."""

    code = "archive_unavailable"
    poll_after_seconds = 30

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The task is not in the cluster (any more), and the archive of ended tasks cannot be asked now: "
            f"{cause[:500].rstrip('.')}. Nothing is lost. Make the same call again in 30 seconds."
        )
