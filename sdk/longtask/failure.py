"""A failure as people read it: the traceback of the work, without what runs the work."""

import subprocess
import traceback

from longtask.frames import OURS, RUNNERS
from longtask.termination import SAFE_MESSAGE

MAX_TAIL = SAFE_MESSAGE
"""Bytes of a traceback that go into the pod's status: its end must not be cut there."""
OUTPUT_LINES, OUTPUT_LIMIT = 50, 3000
"""Lines, and characters, of what a command wrote that are told of each of its streams."""


def readable(error: BaseException) -> str:
    """The traceback as Python prints it, without the frames of the SDK; of a command that failed, and whose output the
    work has captured, with the end of what it wrote, as a note."""
    return "".join(_report(error).format()).rstrip("\n")


def tail(error: BaseException, limit: int = MAX_TAIL) -> str:
    """The end of the traceback in at most so many bytes, from the beginning of a line.

    An exception whose own text is too long keeps its beginning, which has its name, and its end.
    """
    text = readable(error).replace("\0", "\\0")
    if _size(text) <= limit:
        return text
    last = "".join(_report(error).format_exception_only()).rstrip("\n").replace("\0", "\\0")
    if not text.endswith(last):  # a group's, which is drawn with a margin
        last = text.rpartition("\n")[2]
    lines = text.removesuffix(last).split("\n")[:-1]
    kept = [_shortened(last, limit - len("...\n"))]
    left = limit - len("...\n") - _size(kept[0])
    while lines and (left := left - _size(lines[-1]) - 1) >= 0:
        kept.insert(0, lines.pop())
    return "\n".join(["...", *kept])


def _report(error: BaseException) -> traceback.TracebackException:
    report = traceback.TracebackException.from_exception(error)
    left = [(report, error)]
    while left:  # a chain of causes may be longer than Python calls deep
        each, raised = left.pop()
        _without_ours(each)
        _with_output(each, raised)
        inner = raised.exceptions if isinstance(raised, BaseExceptionGroup) else ()
        told = (each.__cause__, each.__context__, *(each.exceptions or ()))
        reasons = (raised.__cause__, raised.__context__, *inner)
        left += [
            (one, other) for one, other in zip(told, reasons, strict=False) if one is not None and other is not None
        ]
    return report


def _without_ours(report: traceback.TracebackException) -> None:
    frames = list(report.stack)
    while frames and frames[0].filename.startswith(RUNNERS):
        del frames[0]
    report.stack = traceback.StackSummary.from_list([each for each in frames if not each.filename.startswith(OURS)])


def _with_output(report: traceback.TracebackException, error: BaseException) -> None:
    """Python tells what a captured command wrote nowhere."""
    if isinstance(error, (subprocess.CalledProcessError, subprocess.TimeoutExpired)):
        written = [_written(name, text) for name, text in (("stdout", error.stdout), ("stderr", error.stderr))]
        # The attribute holds the exception's own list.
        report.__notes__ = [*(report.__notes__ or ()), *(note for note in written if note)]


def _written(stream: str, output: str | bytes | None) -> str | None:
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    if not isinstance(text, str) or not text.strip():
        return None
    end = text.rstrip()[-OUTPUT_LIMIT:]
    return "\n".join([f"its {stream} ended with:", *(f"  {line}" for line in end.splitlines()[-OUTPUT_LINES:])])


def _shortened(text: str, limit: int) -> str:
    content = text.encode("utf-8", "replace")
    if len(content) <= limit:
        return text
    half = (limit - 60) // 2
    begin, end = (part.decode("utf-8", "ignore") for part in (content[:half], content[-half:]))
    return f"{begin}\n... {len(content) - 2 * half} bytes left out, the log has them ...\n{end}"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
