"""JSON logs on stderr, one object a line.

Only what LongTask itself tells can be had below INFO: at DEBUG libraries log what they send and get, which is tokens,
keys and whole conversations.
"""

import logging
import sys
import threading
from types import TracebackType

from pythonjsonlogger.json import JsonFormatter

OWN = ("__main__", "longtask_api", "longtask_mcp", "longtask_operator", "longtask_runtime")


def configure(level: str) -> None:
    """Send every logger of the process to stderr as JSON, and what Python itself would write there: warnings, and
    exceptions that nobody caught. `level` is a name such as INFO. Libraries tell nothing below INFO.
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


def _uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), traceback)
    else:
        logging.getLogger(__name__).critical("uncaught exception", exc_info=(kind, error or kind(), traceback))
