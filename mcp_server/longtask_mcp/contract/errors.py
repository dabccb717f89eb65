"""Failures that an agent is told about, in words that say what it can do."""


class AgentError(Exception):
    """The text goes to the agent as it is, as a tool result with isError."""


class BadArguments(AgentError):
    """The arguments do not fit; the text names each that does not."""


class TaskNotFound(AgentError):
    """There is no such task, or it is another caller's."""


class StartRefused(AgentError):
    """Nothing was started; the text says why."""


class AnswerRefused(AgentError):
    """No answer was given to a question; the text says why."""


class KubernetesUnavailable(AgentError):
    """The API server did not answer, or asked to come back later; whether a write happened is not known."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The Kubernetes API does not answer now ({cause[:200]}). Make the same call again in a few seconds: "
            "tasks go on, and a start or an answer that did happen is met, not repeated."
        )


class KubernetesRefused(AgentError):
    """The API server said no: quota, admission policy, schema."""

    def __init__(self, message: str) -> None:
        super().__init__(f"The cluster refused it: {message[:1000]}")


class ArchiveUnavailable(AgentError):
    """The archive did not answer; whether it has the task is not known."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The task is not in the cluster (any more), and the archive of ended tasks cannot be asked now: "
            f"{cause[:500].rstrip('.')}. Nothing is lost. Make the same call again in 30 seconds."
        )
