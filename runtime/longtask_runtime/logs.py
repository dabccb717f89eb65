"""JSON logs on stderr, one object per line.

Only LongTask's own loggers may log below INFO: at DEBUG, libraries log what they send and receive, including tokens,
keys and whole conversations.
"""

import logging
import sys
import threading
from types import TracebackType

import aiohttp
from pythonjsonlogger.json import JsonFormatter

OWN = ("__main__", "longtask_api", "longtask_mcp", "longtask_operator", "longtask_runtime")


class Expected(Exception):
    """An error that is expected in normal operation. It is logged with its message and without a traceback."""


def in_words(error: BaseException) -> str:
    """An error as one line: its type and message."""
    text = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def configure(level: str) -> None:
    """Log everything to stderr as JSON, including Python's warnings and uncaught exceptions.

    `level` is a name such as INFO. Libraries log nothing below INFO; kopf, mcp and uvicorn nothing below WARNING.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
            json_ensure_ascii=False,
        )
    )
    handler.addFilter(_in_a_line)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    root = logging.getLogger()
    for own in OWN:
        logging.getLogger(own).setLevel(root.level)
    root.setLevel(max(logging.INFO, root.level))
    for chatty in ("kopf", "mcp", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _in_a_line(record: logging.LogRecord) -> bool:
    """Log filter: replaces the traceback of an expected error by its message."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (Expected, aiohttp.ClientError, TimeoutError)):
        record.exc_info, record.exc_text = None, in_words(error)
    return True


def _uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), traceback)
    else:
        logging.getLogger(__name__).critical("uncaught exception", exc_info=(kind, error or kind(), traceback))
