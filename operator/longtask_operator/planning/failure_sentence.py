"""Finds the sentence that says why a program failed, from the end of its log. Pure.

Many programs do not end with the error: stack frames, notes, progress bars and cleanup output follow it. So the formats
in which languages print uncaught errors are searched for. The last one in the log counts, if only such output follows.
An error after which the work continued is not the cause; then, and if no known format is found, it is the last line.

The time is linear in the log if the patterns are linear in a line; the lines and their length are limited.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

LINES = 500
"""Number of lines examined, from the end."""
LINE_LIMIT = 2000
"""Characters kept of a longer line: its beginning and its end."""
PART_LIMIT = 800
"""Characters of each part of a sentence with several causes."""
NEAR = 12
"""Lines that may follow an error in a format that does not imply the end of the program."""
MORE_LINES = 5
"""Lines of a message used beyond its first."""
WRAPPERS = 3
"""Nested programs, each reporting that an inner one has failed, that are followed."""
LEAVES = 5
"""Errors of a group that are listed."""
CUT = "...\n"
"""Prefix that the SDK gives a traceback that was too long for the termination message."""


def failure_sentence(log: str) -> str:
    """Why the program failed, in its own words: one line of at most `LINE_LIMIT` characters; empty for an empty log."""
    return _cut(_find(_read(log)).text, LINE_LIMIT)


def own_message(message: str, log: str | None) -> str:
    """Why the work failed: its termination message or, if its log has that message in context, the log up to there."""
    own = message.strip()
    if not own or not log:
        return failure_sentence(log or own)
    last = own.rstrip().rpartition("\n")[2]
    if last not in log:
        return failure_sentence(own) if _has_form(own) else own
    if own not in log and not (_has_form(own) or own.startswith(CUT)):
        return own
    # Output after the message is unrelated to the failure.
    return failure_sentence(log[: log.rindex(last) + len(last)])


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    level: str = ""
    """DEBUG, INFO, WARNING, ERROR or FATAL in a logger's line, else empty."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """An error in the format of some language: its text, and the lines `start` to `end` (exclusive) that it spans."""

    start: int
    end: int
    text: str
    fatal: bool = False
    """Programs of that language never continue after it."""
    ignored: bool = False
    """The program says that it continues."""
    wraps: bool = False
    """It only says that something else has failed."""
    output: Sequence[str] = ()
    """What that had written, if the error contains it; else it precedes the error."""


@dataclass(frozen=True, slots=True)
class _Found:
    text: str
    sure: bool
    """It looks like an error, and is not just the last line."""


def _has_form(text: str) -> bool:
    return any(True for _ in _causes([line.text for line in _read(text)]))


def _find(lines: Sequence[_Line], wrappers: int = WRAPPERS) -> _Found:
    causes = sorted(_causes([line.text for line in lines]), key=lambda cause: (cause.end, cause.start))
    left_out = {number for cause in causes if cause.ignored for number in range(cause.start - 1, cause.end)}
    for cause in reversed([cause for cause in causes if not cause.ignored]):
        after = [lines[n] for n in range(cause.end, len(lines)) if n not in left_out and _is_ordinary(lines[n])]
        logged = cause.start > 0 and lines[cause.start - 1].level not in ("", "FATAL")
        going_on = [line for line in after if not _is_closing(line)]
        if not cause.fatal and (len(after) > NEAR or any(_is_error(line) for line in going_on)):
            break
        if not cause.fatal and going_on:
            if logged and not _is_logged_before(lines[cause.start - 1], going_on[-1]):
                break
            return _Found(f"{cause.text} (the log ends with: {_cut(going_on[-1].text.strip())})", sure=True)
        if cause.wraps and wrappers:
            written = _read("\n".join(cause.output)) if cause.output else lines[: cause.start]
            inner = _find(written, wrappers - 1)
            if inner.sure:
                own = inner.text in cause.text and not cause.output
                return _Found(inner.text if own else f"{_cut(inner.text)} ({_cut(cause.text)})", sure=True)
            if cause.output:
                return _Found(f"{_cut(cause.text)} (it wrote: {_cut(inner.text)})", sure=True)
        return _Found(cause.text, sure=True)
    return _last_line([line for number, line in enumerate(lines) if number not in left_out])


def _last_line(lines: Sequence[_Line]) -> _Found:
    """The last line with content, or the error before it if it only says that the program ends."""
    said = [line for line in lines if _is_ordinary(line)]
    closing = list(takewhile(_is_closing, reversed(said)))
    before = said[: len(said) - len(closing)]
    if before and _is_error(before[-1]):
        return _Found(before[-1].text.strip(), sure=True)
    fatal = [line for line in said[-NEAR:] if line.level == "FATAL" and _is_error(line)]
    if fatal:
        return _Found(fatal[-1].text.strip(), sure=True)
    logged = [line for line in said[-NEAR:] if line.level == "ERROR" and _is_logged_before(line, said[-1])]
    if logged:
        return _Found(f"{_cut(logged[-1].text.strip())} (the log ends with: {_cut(said[-1].text.strip())})", sure=True)
    anything = said or [line for line in lines if line.text.strip()]
    return _Found(anything[-1].text.strip() if anything else "", sure=False)


# Reading a log


_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])|[\x00-\x08\x0b\x0c\x0e-\x1f]"
)
_BAR_THEN_TEXT = re.compile(r"(\d%\|[^|]{0,300}\|[^\[\]]{0,100}\[[^\]]{0,200}\])\s*(?=\S)")
"""tqdm's bar does not end with a newline."""
_WRAPPED = re.compile(r"^(?:\[(?:rank|default)?\d+\]:|\[\d+,\d+\]<\w+>:|\([\w.]*\s?pid=\d+(?:, ip=[\d.]+)?\)) ?")
"""Prefix that multi-process launchers (torchrun, mpirun, Ray) add to each line."""
_STAMP = re.compile(
    r"^[\[(]?(?:(?:\d\d)?\d\d[-/.]\d\d[-/.]\d\d[T ,]{1,2})?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?Z| ?UTC|[+-]\d\d:?\d\d)?"
    r"[\])]?:?[ \t]?"
)
_LEVEL = re.compile(
    r"(?:^|[\s\[({<|])(DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|FATAL|CRITICAL|EMERG|PANIC)"
    r"(?=[\])}>|:\s-]|$)[\])}>]?(?: ?[:|-]{1,3})?\s?",
)
_LEVELS = {
    **dict.fromkeys(("WARN", "WARNING", "W"), "WARNING"),
    **dict.fromkeys(("ERROR", "ERR", "SEVERE", "E"), "ERROR"),
    **dict.fromkeys(("FATAL", "CRITICAL", "EMERG", "PANIC", "ALERT", "F"), "FATAL"),
    **dict.fromkeys(("DEBUG", "TRACE", "D"), "DEBUG"),
}
_GLOG = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [^\]]{1,200}\] ")
_LOGFMT = re.compile(r'(?:^|\s)(level|lvl|msg|message|err|error)=("(?:[^"\\]|\\.)*"|[^\s"]+)')


def _read(log: str) -> list[_Line]:
    """The lines without colours and without prefixes of launchers and loggers; JSON records are turned into text."""
    lines = list[_Line]()
    for written in re.split(r"\r\n|\n|\r", _ESCAPES.sub("", log))[-LINES:]:
        for text in _BAR_THEN_TEXT.sub(r"\1\n", written).split("\n"):
            lines += _as_lines(_cut(_WRAPPED.sub("", text.rstrip()), LINE_LIMIT), written)
    return lines


def _as_lines(text: str, whole: str) -> Iterator[_Line]:
    if text.startswith("{") and (record := _record(whole)) is not None:
        yield from _of_record(record)
        return
    fields = dict(_LOGFMT.findall(text)) if "level=" in text or "lvl=" in text else {}
    said = fields.get("msg") or fields.get("message")
    if said:
        more = fields.get("error") or fields.get("err")
        words = said.strip('"') + (f": {more.strip(chr(34))}" if more else "")
        yield _Line(words, _level(fields.get("level") or fields.get("lvl")))
    elif glog := _GLOG.match(text):
        yield _Line(text[glog.end() :], _level(glog[1]))
    else:
        stamp = _STAMP.match(text)
        rest = text[stamp.end() :] if stamp else text
        # After a timestamp, a logger name, file or thread may precede the level.
        named = _LEVEL.search(rest, 0, 120) if stamp else _LEVEL.match(rest)
        yield _Line(rest[named.end() :] if named and stamp else rest, _level(named[1]) if named else "")


def _record(text: str) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _of_record(record: dict[str, Any]) -> Iterator[_Line]:
    """Lines of a JSON log record: its message, then the error it contains."""
    level = _level(_first(record, "level", "levelname", "severity", "lvl", "log.level"))
    error = _first(record, "error", "err", "exception", "exc_info", "stack_trace", "traceback", "stack", "error.stack")
    if isinstance(error, dict):
        error = _first(error, "stack", "stack_trace", "traceback", "message", "msg") or json.dumps(error)
    message = str(_first(record, "message", "msg", "event", "text") or "")
    more = str(error or "").strip()
    if "\n" not in more:
        words = f"{message}: {more}" if more and more not in message else message
        yield _Line(_cut(words or json.dumps(record), LINE_LIMIT), level)
        return
    yield _Line(_cut(message, LINE_LIMIT), level)
    for line in more.split("\n"):
        yield _Line(_cut(line.rstrip(), LINE_LIMIT))


def _first(record: dict[str, Any], *keys: str) -> Any:
    return next((record[key] for key in keys if record.get(key)), None)


def _level(name: Any) -> str:
    if isinstance(name, int):  # pino, bunyan
        return "FATAL" if name >= 60 else "ERROR" if name >= 50 else "INFO"
    return _LEVELS.get(str(name or "").strip('"').upper(), "INFO") if name else ""


# Classifying lines


_NOISE = re.compile(
    "|".join(
        (
            r"^[\W_]*$",
            # bars: tqdm, rich, pip, wget, curl
            r"\d%\||\d+it \[\d|\d+/\d+ \[[\d:=>.]|[━╸╺█▏▎▍▌▋▊▉#=]{5}|^\s*\d+K[ .]+\d+%|--:--:--",
            r"^\s*% Total +%|^\s*Dload +Upload",
            # frames, and lines around them
            r"^\s+at \S|^\s*\.\.\. \d+ (?:more|common|lines)|^\s*--- End of |^\s+from \S+:\d|^\s*#\d+ |^\s+\[\d+\] \S",
            r"^goroutine \d+ |^created by |^\t\S+:\d+(?: |$)|^[\w./*()-]+\(.*\)$|^\s+\d+: \S|^\s+File \".*\", line \d",
            r"^Stack(?:trace| backtrace| trace)?:|^stack (?:backtrace|traceback):|^Traceback |^Calls?: |^Call stack:",
            r"^Backtrace:|^CallStack |, called at \S+:\d+:\d+ in |^\s+\S+: in |^\d+ 0x|^Thread \d+ crashed",
            r"^\s+\S+\.(?:rs|exs?):\d+|^\s+\(\w+ [\d.]+\) |^Driver stacktrace:|^\s+thrown in |^Location:$",
            # source code printed by a compiler or a shell
            r"^\s+\|(?: |$)|^\s*--> |^\s*\d+ \| |^\++ \S",
            r"^Exception ignored |^exit status \d+$|^Execution halted|^Node\.js v\d",
        )
    )
)
"""Bars, stack frames, and lines without information."""
_TRAILER = re.compile(
    "|".join(
        (
            # notes
            r"^note: |^hint: |^\[notice\]|^DEPRECATION: |^wandb: |^For more information about this error",
            r"^\s*For further information|^In addition: Warning|^Warning message|^\(Use `node |^Backtrace omitted",
            r"^Run with RUST_BACKTRACE|^=+>?\d*=*(?:ABORTING|HINT)",
            # notices that something has ended
            r"exit(?:ed)?(?: with)?(?: return)?(?: code| status):? -?\d+\.?$|\bfailed \(exitcode: ",
            r"^(?:\S+: line \d+: +\d+ )?(?:Aborted|Segmentation fault|Bus error)\b|^\S+: line \d+: +\d+ Killed\b",
            r"^(?:make|gmake)(?:\[\d+\])?: (?:\*\*\* .*Error \d+|Leaving )|^ninja: build stopped|^npm (?:ERR!|error)",
            r"^error Command failed with exit code|^info Visit https|ld returned \d+ exit status",
            r"^error: could not compile|^error: aborting due to|^compilation terminated",
            r"Exiting with failure status due to|not recoverable: exiting now|^Sending process \d+ closing signal",
            # summaries printed on success and failure alike: dd, time, rsync, wget
            r"^\d+\+\d+ records (?:in|out)$|^\d+ (?:truncated records?$|bytes .*copied)",
            r"^(?:real|user|sys)\s+(?:\d+m)?\d+[.,]\d+s?$|^[\d.]+user [\d.]+system |^\d+inputs\+\d+outputs ",
            r"^Command exited with non-zero status|^sent [\d.,]+\w? bytes  received |^total size is ",
            r"^FINISHED --|^Total wall clock time: |^Downloaded: \d+ files",
        )
    )
)
"""What tools print after an error; an error before it is the cause."""
_ERROR = re.compile(
    r"\b(?:error|errors|fatal|fail|fails|failed|failure|\w*exception|\w+error|panic\w*|cannot|can't|could ?n[o']t"
    r"|unable|denied|refused|not found|no such|invalid|abort\w*|timed? ?out|exceed\w*|missing|out of memory|unbound"
    r"|undefined|unknown|unsupported|unrecogni[sz]ed|corrupt\w*|killed|giving up|gave up|no space left|broken pipe"
    r"|not permitted|connection reset|read-only file system)\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^\W{0,9}(?:\S+\s+){0,8}?(?:clean\w*|shut\w*|exit\w*|clos(?:e|es|ed|ing)|stopp?(?:ed|ing)|finish\w*|done|bye"
    r"|goodbye|terminat\w+|flush\w*|releas\w+|disconnect\w*|tear\w*|remov(?:ed|ing)|delet(?:ed|ing)|leaving)\b",
    re.IGNORECASE,
)
_LOGGER = re.compile(r"^[A-Z]+:[\w.]+:")
"""Prefix of Python's logging without configuration."""
_GOING_ON = re.compile(
    r"\b(?:try(?:ing)? again|retr(?:y|ies|ied|ying)|reconnect\w*|skip\w*|ignor\w*|continu\w*|fall(?:ing|s)? back)\b",
    re.IGNORECASE,
)


def _is_logged_before(error: _Line, last: _Line) -> bool:
    """Whether a logged error may be the cause although the log continues: the error does not say that the work
    continues (retries, skips, ...), and the last line is only informational."""
    return last.level in ("INFO", "DEBUG") and _GOING_ON.search(error.text) is None


def _is_ordinary(line: _Line) -> bool:
    return _NOISE.search(line.text) is None


def _is_error(line: _Line) -> bool:
    if _TRAILER.search(line.text):
        return False
    return line.level in ("ERROR", "FATAL") or (not line.level and _ERROR.search(line.text) is not None)


def _is_closing(line: _Line) -> bool:
    return bool(_TRAILER.search(line.text)) or (
        not _is_error(line) and _CLOSING.match(_LOGGER.sub("", line.text)) is not None
    )


def _causes(lines: Sequence[str]) -> Iterator[_Cause]:
    for form in _FORMS:
        yield from form(lines)


# Python


_TRACEBACK = re.compile(r"(?:^|[^\w\"'])Traceback \(most recent call last\):$")
_FILE = re.compile(r'^\s*File "([^"]*)", line (\d+)(?:, in |$)')
_LINK = re.compile(r"^(?:During handling of|The above exception was)")
_UNRAISABLE = re.compile(r"^(?:Exception ignored |--- Logging error ---|Error in atexit|Error in sys\.excepthook)")
_WRAPPER = re.compile(
    r"^(?:[\w.]+\.)?(?:CalledProcessError: Command .*(?:exit status|died with)|ChildFailedError:"
    r"|ProcessExitedException: |SystemExit: \d)"
)
_OUTPUT = re.compile(r"^its (?:stdout|stderr) ended with:$")
"""The SDK's note before captured output, which is indented."""


def _python(lines: Sequence[str]) -> Iterator[_Cause]:
    """Each chain of tracebacks: the exception raised last, and the original one."""
    chain: list[_Cause] = []
    link = ""
    for block in _tracebacks(lines):
        between = [line for line in lines[chain[-1].end : block.start] if line.strip(' "')] if chain else []
        if len(between) == 1 and _LINK.match(between[0]):
            link = link or ("while handling" if between[0].startswith("During") else "caused by")
            chain.append(block)
            continue
        if chain:
            yield _chained(chain, link)
        chain, link = [block], ""
    if chain:
        yield _chained(chain, link)


def _chained(chain: Sequence[_Cause], link: str) -> _Cause:
    first, last = chain[0], chain[-1]
    output = last.output or first.output
    text = _with_cause(last.text, first.text, link)
    return replace(last, start=first.start, text=text, wraps=last.wraps or bool(output), output=output)


def _with_cause(text: str, cause: str, link: str = "caused by") -> str:
    return text if not cause or cause in text else f"{_cut(text)} ({link} {_cut(cause)})"


def _tracebacks(lines: Sequence[str]) -> Iterator[_Cause]:
    position = 0
    while position < len(lines):
        header = _TRACEBACK.search(lines[position]) is not None
        if not header and _FILE.match(lines[position]) is None:
            position += 1
            continue
        # A traceback without a header belongs to a SyntaxError or was truncated.
        start, margin = position, _indent(lines[position]) - (0 if header else 2)
        if header and not lines[position].lstrip().startswith("Traceback"):
            margin = 0
        where, position = _innermost(lines, start + header, margin)
        if position == len(lines) or margin < 0:
            return
        text, position = _message(lines, position)
        if "ChildFailedError:" in text:
            text, position = _of_launcher(lines, position)
        output, position = _output(lines, position)
        ignored = start > 0 and _UNRAISABLE.match(lines[start - 1]) is not None
        wraps = bool(output) or _WRAPPER.match(text) is not None
        yield _Cause(start, position, _placed(text, where), ignored=ignored, wraps=wraps, output=output)


def _innermost(lines: Sequence[str], start: int, margin: int) -> tuple[tuple[str, str], int]:
    """Place and code of the last frame, and where the frames end: the first line indented no deeper than `margin`."""
    place, code = "", ""
    for number in range(start, len(lines)):
        line = lines[number]
        if line.strip() and _indent(line) <= margin:
            return (place, code), number
        if file := _FILE.match(line):
            place, code = f"{file[1].rpartition('/')[2]}, line {file[2]}", ""
        elif re.search(r"\w", line):
            code = code or line.strip()
    return (place, code), len(lines)


def _placed(text: str, where: tuple[str, str]) -> str:
    """The text with its place, for exceptions without a message and syntax errors."""
    place, code = where
    if place and re.fullmatch(r"[\w.]+", text):
        return f"{text} ({place}: {code})" if code else f"{text} ({place})"
    return f"{text} ({place})" if re.match(r"(?:Syntax|Indentation|Tab)Error:", text) else text


def _of_launcher(lines: Sequence[str], start: int) -> tuple[str, int]:
    """What torchrun's table reports about the process that failed first, and where the table ends."""
    table = lines[start : start + 100]
    rules = [n for n, line in enumerate(table) if line.startswith("=====")]
    end = rules[-1] + 1 if rules else 0
    fields = [line.strip() for line in table[:end] if re.match(r"^  (?:rank|exitcode|traceback) *: \S", line)]
    told = [re.sub(r" *: ", " ", field) for field in fields[-3:] if "To enable traceback" not in field]
    return f"ChildFailedError: {', '.join(told)}", start + end


def _message(lines: Sequence[str], start: int) -> tuple[str, int]:
    """The message that begins in this line, and where it ends; notes and further lines may follow unmarked."""
    parts = [lines[start].strip()]
    position = start + 1
    if parts[0].endswith(":") and position < len(lines) and not lines[position].strip():
        position += 1
    while position < len(lines) and len(parts) <= MORE_LINES and _goes_on(lines[position]):
        parts.append(lines[position].strip())
        position += 1
    return _joined(parts), position


def _output(lines: Sequence[str], position: int) -> tuple[Sequence[str], int]:
    """Captured output of the command that failed, stderr rather than stdout, and where it ends."""
    output: Sequence[str] = ()
    while position < len(lines) and _OUTPUT.match(lines[position]):
        written = list(takewhile(lambda each: each.startswith("  ") or not each, lines[position + 1 :]))
        output, position = [each[2:] for each in written], position + 1 + len(written)
    return output, position


def _goes_on(line: str) -> bool:
    return bool(line.strip(' "=-')) and not (
        _LINK.match(line) or _UNRAISABLE.match(line) or _TRACEBACK.search(line) or _NOISE.search(line)
        or _TRAILER.search(line) or _OUTPUT.match(line)
        or _STAMP.match(line) or _LEVEL.match(line) or _CLOSING.match(line)
    )  # fmt: skip


def _joined(parts: Sequence[str]) -> str:
    text = parts[0]
    for part in parts[1:]:
        text += f" {part}" if text.endswith((":", ".", ",", ";")) else f"; {part}"
    return text


_MARGIN = re.compile(r"^\s*(?:\| ?|\+[-+]+(?: (?:\d+|\.\.\.) -+)?$|\+ (?=Exception Group))")
_GROUP = re.compile(r"\(\d+ sub-exceptions?\)$")


def _groups(lines: Sequence[str]) -> Iterator[_Cause]:
    """Each ExceptionGroup, described by its leaf exceptions."""
    position = 0
    while position < len(lines):
        start = position
        sections: list[list[str]] = [[]]
        while position < len(lines) and _MARGIN.match(lines[position]):
            text = lines[position].lstrip()
            if text.startswith("+-"):
                sections.append([])
            else:
                sections[-1].append(text[2:])
            position += 1
        if len(sections) > 2:
            yield _Cause(start, position, _group_text(sections))
        position = max(position, start + 1)


def _group_text(sections: Sequence[Sequence[str]]) -> str:
    group, leaves = "ExceptionGroup", list[str]()
    for section in sections:
        written = [line.strip() for line in section if line.strip()]
        texts = [cause.text for cause in _python(section)] or ([_joined(written)] if written else [])
        for text in texts[-1:]:
            if _GROUP.search(text):
                group = text if group == "ExceptionGroup" else group
            else:
                leaves.append(_cut(text, PART_LIMIT // 2))
    more = f"; and {len(leaves) - LEAVES} more" if len(leaves) > LEAVES else ""
    return f"{_cut(group)}: {'; '.join(leaves[:LEAVES])}{more}" if leaves else group


def _before_stack(lines: Sequence[str]) -> Iterator[_Cause]:
    """An exception whose stack follows under a title, as in Dagster; the root cause is last."""
    for number, line in enumerate(lines):
        if line.strip().lower() in ("stack trace:", "stacktrace:") and number + 1 < len(lines):
            head = next((n for n in range(number - 1, max(-1, number - NEAR), -1) if lines[n].strip()), None)
            frames = list(takewhile(lambda each: each.startswith((" ", "\t")), lines[number + 1 :]))
            if head is not None and frames and _FILE.match(frames[0]):
                yield _Cause(head, number + 1 + len(frames), lines[head].strip())


def _interpreter(lines: Sequence[str]) -> Iterator[_Cause]:
    """Fatal errors written by faulthandler."""
    for number, line in enumerate(lines):
        if line.startswith("Fatal Python error: "):
            frames = (_FILE.match(each) for each in lines[number : number + NEAR])
            file = next((frame for frame in frames if frame), None)
            where = f" ({file[1].rpartition('/')[2]}, line {file[2]})" if file else ""
            yield _Cause(number, number + 1, f"{line}{where}", fatal=True)


# Languages of the JVM, .NET, JavaScript: frames that begin with "at"


_AT = re.compile(r"^\s+at \S|^\s*\.\.\. \d+ (?:more|common frames|lines)")
_THROWN = re.compile(
    r"^(?:Exception in thread|Unhandled exception[.:]|(?:error: )?Uncaught )|^(?:\[|: )?(?:[\w$]+[./])*[\w$]*"
    r"(?:Error|Exception|Throwable|Rejection|Failure)\b|^Error: "
)
_BEGINNING = re.compile(
    r"^(?:Exception in thread \S+ |Unhandled exception[.:] |error: |Uncaught (?:\(in promise\) )?|: |\[)+"
)
_CAUSED = re.compile(r"^\s*(?:Caused by:|--->|\[cause\]:) (.*)")
_PART = re.compile(r"^\s+(?:\w*Error|\w*Exception)\b.*")


def _stacks(lines: Sequence[str]) -> Iterator[_Cause]:
    """Each stack trace: the exception thrown, and the last of its causes."""
    position = 0
    while position < len(lines):
        if not (_AT.match(lines[position]) or _CAUSED.match(lines[position])):
            position += 1
            continue
        head = next((n for n in range(position - 1, max(-1, position - NEAR), -1) if _THROWN.match(lines[n])), None)
        end = _end_of_stack(lines, position)
        if head is not None:
            yield _thrown(lines, head, position, end)
        position = end


def _end_of_stack(lines: Sequence[str], position: int) -> int:
    """Position after the last frame; a cause's message may span several lines."""
    end = position + 1
    for number in range(position + 1, len(lines)):
        if _AT.match(lines[number]) or _CAUSED.match(lines[number]) or lines[number].startswith("\t"):
            end = number + 1
        elif number - end > MORE_LINES or (_THROWN.match(lines[number]) and number > position):
            break
    return end


def _thrown(lines: Sequence[str], head: int, first_frame: int, end: int) -> _Cause:
    written = lines[head:first_frame]
    mark = next((n for n, line in enumerate(written) if re.fullmatch(r"\s*\^+", line)), None)
    # The mark is below a line of source code.
    shown = written if mark is None else written[: mark - 1]
    says = [line.strip() for line in shown if line.strip()]
    text = _BEGINNING.sub("", _joined(says[: MORE_LINES + 1])).removesuffix(" {").removesuffix("]")
    indent = _indent(lines[head])
    causes = [
        found[1] for line in lines[head:end] if (found := _CAUSED.match(line)) and not _is_suppressed(line, indent)
    ]
    fatal = re.match(r'Exception in thread "?main|Unhandled exception', lines[head]) is not None
    return _Cause(head, end, _with_cause(text, causes[-1].removesuffix(" {") if causes else ""), fatal)


def _is_suppressed(line: str, indent: int) -> bool:
    """Whether it is the cause of a suppressed exception, which is indented deeper."""
    return line.lstrip().startswith("Caused by") and _indent(line) > indent


def _node(lines: Sequence[str]) -> Iterator[_Cause]:
    """Errors before Node's final version line: source code, a mark below it, then the error and its properties."""
    for end, line in enumerate(lines):
        if not re.match(r"^Node\.js v\d", line):
            continue
        marks = (n for n in range(end - 1, max(-1, end - 100), -1) if re.fullmatch(r"\s*\^+", lines[n]))
        mark = next(marks, None)
        said = [n for n in range(mark + 1, end) if lines[n].strip()] if mark is not None else []
        if not said:
            continue
        message = [lines[n] for n in said[: MORE_LINES + 1]]
        message = [message[0], *takewhile(lambda each: not each.startswith((" ", "(Use")) and each != "}", message[1:])]
        text = _joined([each.strip() for each in message]).removesuffix("{").strip()
        text = text[1:].removesuffix("]") if text.startswith("[") else text
        if reason := re.search(r'The promise rejected with the reason "(.*)"', text):
            text = f"UnhandledPromiseRejection: {reason[1]}"
        inside = lines[said[0] + 1 : end]
        causes = [found[1].removesuffix(" {") for each in inside if (found := _CAUSED.match(each))]
        parts = [each.strip() for each in inside if _PART.match(each)] if "AggregateError" in text else []
        yield _Cause(said[0], end, _with_cause(text, "; ".join(parts[:LEAVES]) or (causes or [""])[-1]), fatal=True)


# Go, Rust, C++, R and others: a known line begins the message


def _go(lines: Sequence[str]) -> Iterator[_Cause]:
    for number, line in enumerate(lines):
        if not line.startswith(("panic: ", "fatal error: ")):
            continue
        paragraph = list(takewhile(lambda each: each.strip(), lines[number : number + NEAR]))
        rest = lines[number + len(paragraph) : number + len(paragraph) + 3]
        if not any(each.startswith(("goroutine ", "exit status", "runtime stack")) for each in rest) and any(
            each.strip() for each in rest
        ):
            continue
        panics = [re.sub(r" \[recovered.*\]$", "", each.strip()) for each in paragraph if "panic: " in each[:8]]
        says = [each.strip() for each in paragraph if not each.startswith(("[signal", "\tpanic: "))]
        if len(panics) > 1:
            text = _with_cause(panics[-1], panics[0].removeprefix("panic: "))
        else:
            text = _joined(says[: MORE_LINES + 1])
        yield _Cause(number, number + len(paragraph), text, fatal=True)


_PANICKED = re.compile(r"^thread '?[^']*?'? ?(?:\(\d+\) )?panicked at (.*)$")


def _rust(lines: Sequence[str]) -> Iterator[_Cause]:
    for number, line in enumerate(lines):
        found = _PANICKED.match(line)
        if not found:
            continue
        # Before Rust 1.73 the message is in the same line, before the location.
        following = lines[number + 1 : number + NEAR] if found[1].endswith(":") else []
        says = list(takewhile(_is_of_panic, following))
        text = _joined([f"panicked at {found[1]}", *(each.strip() for each in says[:MORE_LINES])])
        yield _Cause(number, number + 1 + len(says), text, fatal="main" in line[:14], wraps="Any { .. }" in text)


def _is_of_panic(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("note: ", "stack backtrace:"))


def _causes_listed(lines: Sequence[str]) -> Iterator[_Cause]:
    """`Caused by:` followed by a list, or the whole chain as a list: anyhow, eyre and similar."""
    for number, line in enumerate(lines):
        if line.strip() not in ("Caused by:", "Error:"):
            continue
        head = next((n for n in range(number - 1, max(-1, number - NEAR), -1) if lines[n].strip()), None)
        if line.startswith("Error:"):
            head = min(number + 1, len(lines) - 1)
        listed = list(takewhile(lambda each: each.startswith(" ") and each.strip(), lines[number + 1 : number + 50]))
        if head is None or not listed:
            continue
        text = re.sub(r"^\s*\d+: ", "", lines[head]).strip()
        cause = re.sub(r"^\s*\d+: ", "", listed[-1]).strip()
        yield _Cause(head, number + 1 + len(listed), _with_cause(text, cause))


def _terminate(lines: Sequence[str]) -> Iterator[_Cause]:
    for number, line in enumerate(lines):
        if not line.startswith("terminate called "):
            continue
        kind = re.search(r"instance of '(.*)'", line)
        what = lines[number + 1 : number + 2]
        if kind and what and what[0].startswith("  what():"):
            more = takewhile(_goes_on, lines[number + 2 : number + 7])
            says = _joined([what[0].removeprefix("  what():").strip(), *(each.strip() for each in more)])
            yield _Cause(number, number + 2, f"{kind[1]}: {says}", fatal=True)
        else:
            yield _Cause(number, number + 1, line, fatal=True)


def _sanitizer(lines: Sequence[str]) -> Iterator[_Cause]:
    for number, line in enumerate(lines):
        if found := re.match(r"^SUMMARY: (\w+Sanitizer: .*)", line):
            yield _Cause(number, number + 1, found[1], fatal=True)
        elif found := re.match(r"^(?:=+\d+=+ ?)?(?:ERROR|FATAL): (\w+Sanitizer: .*)", line):
            yield _Cause(number, number + 1, found[1].partition(" at pc ")[0], fatal=True)


_AFTER_R = ("Calls:", "In addition:", "Backtrace:", "Execution halted", "Warning message")


def _r(lines: Sequence[str]) -> Iterator[_Cause]:
    for end, line in enumerate(lines):
        if line.strip() != "Execution halted":
            continue
        start = next((n for n in range(end - 1, max(-1, end - 60), -1) if re.match(r"^Error\b", lines[n])), None)
        if start is None:
            continue
        says = list(takewhile(lambda each: not each.startswith(_AFTER_R), lines[start:end]))
        caused = [n for n, each in enumerate(says) if each.startswith("Caused by error")]
        head = says[: caused[0]] if caused else says
        text = _joined([each.strip().removeprefix("! ") for each in head[: MORE_LINES + 1] if each.strip()])
        cause = says[caused[-1] + 1 :][:1] if caused else []
        yield _Cause(start, end, _with_cause(text, cause[0].strip().removeprefix("! ") if cause else ""), fatal=True)


_RUBY = re.compile(r"^(\S+:\d+):in [`'].*': (.*) \(([A-Z][\w:]*)\)$")


def _ruby(lines: Sequence[str]) -> Iterator[_Cause]:
    """The exception raised last, followed by its causes, each with its frames."""
    raised: list[tuple[int, str]] = []
    for number, line in enumerate([*lines, ""]):
        if found := _RUBY.match(line):
            raised.append((number, f"{found[3]}: {found[2]} ({found[1]})"))
        elif raised and not re.match(r"^\s+(?:\d+: )?from ", line):
            yield _Cause(raised[0][0], number, _with_cause(raised[0][1], raised[-1][1]))
            raised = []


def _julia(lines: Sequence[str]) -> Iterator[_Cause]:
    for number, line in enumerate(lines):
        if not line.startswith("ERROR: "):
            continue
        says = list(
            takewhile(lambda each: each.strip() and not each.startswith("Stacktrace:"), lines[number : number + NEAR])
        )
        end = number + len(says)
        if end == len(lines) or not lines[end].startswith("Stacktrace:"):
            continue
        frames = list(takewhile(lambda each: not each.startswith("ERROR: "), lines[end : end + 200]))
        causes = [each.removeprefix("caused by: ") for each in frames if each.startswith("caused by: ")]
        text = _joined([each.strip() for each in says[: MORE_LINES + 1]]).removeprefix("ERROR: ")
        tail = [n for n, each in enumerate(frames) if re.match(r"^\s+\[\d+\] |^\s+@ |^in expression |^caused by", each)]
        yield _Cause(number, end + (tail[-1] + 1 if tail else 1), _with_cause(text, causes[-1] if causes else ""))


_HEADS = (
    re.compile(r"^(?:PHP )?Fatal error: +(?:Uncaught )?(.*)"),
    re.compile(r"^(\*\* \([A-Z]\w*.*\) .*)"),  # Elixir
    re.compile(r"^((?:lua\S*|luajit): .*)"),
    re.compile(r"^Fatal error: exception (.*)"),  # OCaml
    re.compile(r"^(error(?:\[E\d+\])?: (?!could not compile|aborting due).*)"),  # rustc and similar tools
    re.compile(r"^npm (?:ERR!|error) (?!code |syscall |path |errno |A complete log|\s|$)(.*)"),
)
_LAST_WORDS = (
    re.compile(r"^(.*: Assertion [`'].*' failed\.?)"),
    re.compile(r"^((?:free\(\)|malloc\(\)|realloc\(\)|munmap_chunk\(\)|double free|corrupted |\*\*\* stack smash).*)"),
    re.compile(r"^libc\+\+abi: (terminating .*)"),
    re.compile(r"^# +(SIG[A-Z]+ \(0x.*)"),  # crash of the JVM
)


def _one_line(lines: Sequence[str]) -> Iterator[_Cause]:
    for number, line in enumerate(lines):
        for head in (*_HEADS, *_LAST_WORDS):
            if found := head.match(line):
                yield _Cause(number, number + 1, found[1], fatal=head in _LAST_WORDS)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _cut(text: str, limit: int = PART_LIMIT) -> str:
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2 - 4]} [...] {text[-(limit // 2 - 4) :]}"


_FORMS: tuple[Callable[[Sequence[str]], Iterator[_Cause]], ...] = (
    _python,
    _groups,
    _before_stack,
    _interpreter,
    _stacks,
    _node,
    _go,
    _rust,
    _causes_listed,
    _terminate,
    _sanitizer,
    _r,
    _ruby,
    _julia,
    _one_line,
)
