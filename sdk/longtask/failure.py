"""Formats a failure for people: the traceback of the work, without the code that runs it."""

import subprocess
import traceback

from longtask.frames import OURS, RUNNERS
from longtask.termination import SAFE_MESSAGE

MAX_TAIL = SAFE_MESSAGE
"""Bytes of a traceback in the pod's status: few enough that kubelet does not cut off its end."""
OUTPUT_LINES, OUTPUT_LIMIT = 50, 3000
"""How much of a command's output is shown, for each stream: lines and characters."""


def readable(error: BaseException) -> str:
    """The traceback as Python prints it, without frames of the SDK. A failed command gets a note with the end of its
    output, if the work captured it."""
    return "".join(_report(error).format()).rstrip("\n")


def tail(error: BaseException, limit: int = MAX_TAIL) -> str:
    """The end of the traceback in at most `limit` bytes, from the beginning of a line.

    An exception message that is too long itself keeps its beginning, which has the exception's name, and its end.
    """
    text = readable(error).replace("\0", "\\0")
    if _size(text) <= limit:
        return text
    last = "".join(_report(error).format_exception_only()).rstrip("\n").replace("\0", "\\0")
    if not text.endswith(last):  # an exception group's, which is printed with a margin
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
    while left:  # a chain of causes may exceed the recursion limit
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
    """Add a note with the captured output of a command, which Python does not print."""
    if isinstance(error, (subprocess.CalledProcessError, subprocess.TimeoutExpired)):
        written = [_written(name, text) for name, text in (("stdout", error.stdout), ("stderr", error.stderr))]
        # A new list, because the attribute is the exception's own.
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
