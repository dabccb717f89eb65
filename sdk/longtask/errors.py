"""Exceptions that the SDK raises in the work."""


class Cancelled(BaseException):
    """The work must stop: the process received SIGTERM.

    Raised by `ctx.raise_if_cancelled`, and by `ctx.ask`, `ctx.resume` and `ctx.attempt` while they wait. A
    BaseException, so that `except Exception` in the work does not catch it.
    """


class NoAnswer(Exception):
    """A question has no answer: its timeout passed and it has no default, or it cannot be asked."""


class InvalidAnswer(Exception):
    """The answer to a question does not fit its schema."""


class NotDelivered(Exception):
    """A result or an artifact could not be stored; the message says why and what to do."""
