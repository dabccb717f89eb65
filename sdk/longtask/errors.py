"""What the SDK raises into the work."""


class Cancelled(BaseException):
    """The work shall stop: SIGTERM has come. A BaseException, so that `except Exception` in the work lets it pass."""


class NoAnswer(Exception):
    """A question stays without an answer: it timed out and has no default, or nobody can be asked."""


class InvalidAnswer(Exception):
    """The answer to a question does not fit its schema."""


class NotDelivered(Exception):
    """A result or an artifact could not be handed in; the text says why and what to do."""
