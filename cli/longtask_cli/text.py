"""Text as a terminal may show it: escaped, measured in columns, and times as kubectl writes them. Pure.

Names and messages come from agents and from running work. A terminal would obey the control sequences in them.
"""

import re
import unicodedata
from datetime import datetime, timedelta

from rich.cells import cell_len, set_cell_size

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that move the cursor, change the direction of text or show nothing."""
JOINERS = "\u200c\u200d"
"""Invisible, but Persian words and emoji are made with them."""
COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


def is_unsafe(character: str, keep: str = "") -> bool:
    """Whether a terminal would obey the character or show nothing of it; those in `keep` are not."""
    return character not in keep + JOINERS and unicodedata.category(character) in UNSAFE


def escaped(text: str, keep: str = "") -> str:
    r"""The text with every control character written as `\x1b` or `\u202e`, except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(_escape(each) if is_unsafe(each, keep) else each for each in text)


def _escape(character: str) -> str:
    return ascii(character)[1:-1]


def line(text: str) -> str:
    """The text in one line: each run of white space is a space."""
    return escaped(" ".join(text.split()))


def lines(text: str) -> str:
    """The text with its lines and tabs, and without the colours of a log; a carriage return ends a line too."""
    plain = COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return escaped(plain, keep="\n\t")


def width(text: str) -> int:
    """Columns that the text takes: two for a wide character, none for a combining one."""
    return cell_len(text)


def fitted(text: str, columns: int) -> str:
    """The text in at most that many columns; a longer one ends with an ellipsis."""
    if width(text) <= columns:
        return text
    return set_cell_size(text, columns - 1).rstrip() + "…" if columns > 0 else ""


def padded(text: str, columns: int) -> str:
    """The text with spaces up to that many columns."""
    return text + " " * (columns - width(text))


def age(since: datetime | None, now: datetime) -> str:
    """A time as kubectl shows it in AGE: 45s, 9m59s, 12h, 2d3h, 400d (k8s.io/apimachinery, duration.HumanDuration)."""
    return duration(now - since) if since is not None else "<unknown>"


def duration(span: timedelta) -> str:
    """A duration in at most two units, rounded down; 0s if it is negative."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m" + (f"{seconds % 60}s" if seconds % 60 else "")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + (f"{minutes % 60}m" if minutes % 60 else "")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d" + (f"{hours % 24}h" if hours % 24 else "")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return f"{days // 365}y" + (f"{days % 365}d" if days % 365 else "")
    return f"{days // 365}y"


def moment(at: datetime) -> str:
    """A time in the time zone of this machine, to the second."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    """A number of bytes: 900, 1.5 KiB, 12 MiB."""
    amount, units = float(count), ["", " KiB", " MiB", " GiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.0f}{units[0]}" if amount >= 10 or not units[0] else f"{amount:.1f}{units[0]}"
