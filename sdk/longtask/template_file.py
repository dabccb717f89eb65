"""Compares a template in a file with what the function says now, and edits the file to match."""

import bisect
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from longtask.yaml_text import scalar_text, yaml_text

if TYPE_CHECKING:
    from longtask.yaml_reader import Node

ABSENT: Any = object()
"""Marks an entry that the file must not have."""
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*", re.MULTILINE)
"""A comment of a shell script."""
_RUN = re.compile(r"(?<![\w.-])longtask\s+run\s+['\"]?((?!\S*\$)[^\s'\"`;&|()<>]+)")
"""The target of a `longtask run`, unless a variable is part of it."""
_RUN_OR_COMMENT = re.compile(f"{_RUN.pattern}|{_COMMENT.pattern}", re.MULTILINE)
_BETWEEN = re.compile(r"[\s'\"`;&|()<>=]+")
"""Separators between the words of a command."""


class Part(dict[str | int, Any]):
    """Some entries of a mapping, or items of a list by index; all others belong to the author."""


class BadFile(Exception):
    """The template in the file cannot be read or edited; the message says why. `line` counts from 1."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


class NoTemplate(BadFile):
    """The file has no template with that name."""


@dataclass(frozen=True, order=True)
class Change:
    """One edit: `start` to `end` of the text becomes `new`. `path` and `problem` say what differs; `line` counts from
    1."""

    start: int
    end: int
    new: str = field(compare=False)
    line: int = field(compare=False)
    path: str = field(compare=False)
    problem: str = field(compare=False)


def changes(file: str, name: str, target: str, python: str | None, wanted: Part) -> list[Change]:
    """The edits after which the template `name` in a file says what is wanted and runs `target`, with the interpreter
    `python` if one is given. Sorted by position; empty if nothing differs.

    The line ends of the file are line feeds. Raises BadFile, NoTemplate.
    """
    from longtask.yaml_reader import BadYaml, read_documents  # noqa: PLC0415 - only where a file is read

    try:
        documents = read_documents(file)
    except BadYaml as error:
        raise BadFile(f"{error}; correct this first", error.line) from None
    root = _Place(file, _template(documents, name), ())
    return sorted([*_entries(root, wanted), *_run(root, target, python)])


def changed(file: str, found: list[Change]) -> str:
    """The file with these edits, whose positions count each line end as one character. All other lines stay as they
    are, and new ones get the line end of the majority."""
    returns = [at.start() - number for number, at in enumerate(re.finditer("\r\n", file))]
    line_end = "\r\n" if 2 * len(returns) > file.count("\n") else "\n"
    for change in reversed(found):
        start, end = (at + bisect.bisect_left(returns, at) for at in (change.start, change.end))
        file = file[:start] + change.new.replace("\n", line_end) + file[end:]
    return file


def _template(documents: "list[Node]", name: str) -> "Node":
    names = []
    for each in documents:
        document = each.plain()
        if isinstance(document, dict) and document.get("kind") == "LongTaskTemplate":
            metadata = document.get("metadata")
            names.append(metadata.get("name") if isinstance(metadata, dict) else None)
            if names[-1] == name:
                return each
    others = ", ".join(str(each) for each in names if each)
    only = f", only {others}: is it that, say --name" if others else ""
    raise NoTemplate(f"there is no LongTaskTemplate {name}{only}")


@dataclass(frozen=True)
class _Place:
    """A node of the file's text, and its path."""

    text: str
    node: "Node"
    path: tuple[str | int, ...]

    def inside(self, key: str | int) -> "_Place | None":
        """The place of an entry or item; None if there is none."""
        value = self.node.value
        if isinstance(value, dict) and key in value:
            return _Place(self.text, value[key], (*self.path, key))
        if isinstance(value, list) and isinstance(key, int) and key < len(value):
            return _Place(self.text, value[key], (*self.path, key))
        return None

    def replaced(self, new: str, problem: str) -> Change:
        """The edit that replaces the node."""
        return self.change(self.node.start, self.node.end, new, self.path, problem)

    def change(self, start: int, end: int, new: str, path: tuple[str | int, ...], problem: str) -> Change:
        return Change(start, end, new, self.text.count("\n", 0, start) + 1, _written(path), problem)

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.node.start) + 1

    @property
    def column(self) -> int:
        """The column in which the keys of a mapping begin."""
        first = next(iter(self.node.keys.values()))
        return first - self.text.rfind("\n", 0, first) - 1

    @property
    def is_alias(self) -> bool:
        return self.text[self.node.start : self.node.start + 1] == "*"

    def lines_of(self, key: str) -> tuple[int, int]:
        """Start and end of the lines of an entry."""
        start, end = self.text.rfind("\n", 0, self.node.keys[key]) + 1, self.node.value[key].end
        stop = self.text.find("\n", end)
        return start, len(self.text) if stop < 0 else stop + 1


def _entries(place: _Place, wanted: Mapping[str | int, Any]) -> Iterator[Change]:
    """Edits that give each of these entries the wanted value; a new entry is inserted after its predecessor."""
    before = None
    for key, value in wanted.items():
        inside = place.inside(key)
        if inside is not None:
            yield from _entry(place, inside, key, value)
            before = key
        elif value is not ABSENT:
            yield _inserted(place, key, value, before)


def _entry(parent: _Place, place: _Place, key: str | int, value: Any) -> Iterator[Change]:
    found = place.node.value
    if value is ABSENT:
        yield _deleted(parent, key)
    elif isinstance(value, Part) and found:
        inside = [*_entries(place, value)]
        if inside and place.is_alias:
            raise BadFile(f"{_written(place.path)} stands elsewhere, under an anchor: write it out", place.line)
        yield from inside
    elif isinstance(found, dict) and isinstance(value, dict) and _is_edited_inside(place.node, value):
        for other in found.keys() - value.keys():
            yield _deleted(place, other)
        yield from _entries(place, value)
    else:
        yield from _other(parent, place, key, value)


def _other(parent: _Place, place: _Place, key: str | int, value: Any) -> Iterator[Change]:
    """Replace the value in this place, if it differs."""
    if _same(place.node.plain(), value):
        return
    if _has_items(value):
        raise BadFile(f"{_written(place.path)} is {_shown(place.node.plain())}: write it by hand", place.line)
    problem = f"is {_shown(place.node.plain())}, and {_shown(value)} now"
    is_line = not isinstance(value, (dict, list)) and "\n" not in str(value)
    if is_line and "\n" not in parent.text[place.node.start : place.node.end] and place.node.start < place.node.end:
        yield place.replaced(scalar_text(value), problem)
    elif parent.node.is_flow or isinstance(key, int):
        yield place.replaced(json.dumps(value, ensure_ascii=False), problem)
    else:
        new = _lines(key, value, parent.column).lstrip(" ")
        yield parent.change(parent.node.keys[key], parent.lines_of(key)[1], new, place.path, problem)


def _inserted(place: _Place, key: str | int, value: Any, before: str | int | None) -> Change:
    path = (*place.path, key)
    if not isinstance(key, str) or not isinstance(place.node.value, dict) or _has_items(value):
        raise BadFile(f"{_written(path)} is missing: write it by hand", place.line)
    problem = f"is missing, and {_shown(value)} now"
    if place.node.is_flow:
        at = place.node.start + 1
        rest = ", " if place.node.value else ""
        return place.change(at, at, f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{rest}", path, problem)
    at = place.lines_of(before if isinstance(before, str) else next(iter(place.node.keys)))[1]
    new = _lines(key, value, place.column)
    return place.change(at, at, new if place.text[:at].endswith("\n") else f"\n{new}", path, problem)


def _deleted(place: _Place, key: str | int) -> Change:
    path, problem = (*place.path, key), "is there, and not in the function"
    if not isinstance(key, str) or place.node.is_flow:
        raise BadFile(f"{_written(path)} {problem}: delete it by hand", place.line)
    return place.change(*place.lines_of(key), "", path, problem)


def _run(place: _Place, target: str, python: str | None) -> Iterator[Change]:
    """Make the container run the target, if it runs another one by `longtask run`. Any other command, and all else in
    this one, belongs to the author."""
    container: _Place | None = place
    for key in ("spec", "podTemplate", "spec", "containers", 0):  # the first container does the work
        container = container and container.inside(key)
    words = [] if container is None else list(_words(container))
    texts = [_COMMENT.sub("", str(each.node.value)) for each in words]
    command = " ".join(texts)
    others = list(dict.fromkeys(_RUN.findall(command)))
    is_named = target in _BETWEEN.split(command)
    if others and not is_named:
        if len(others) > 1:
            raise BadFile(
                f"{_written(words[0].path[:-1])} runs {' and '.join(others)}, and not {target}: write it by hand",
                words[0].line,
            )
        yield from _retargeted(words, texts, others[0], target)
    elif is_named and not others and difflib.get_close_matches("longtask", command.split(), cutoff=0.8):
        raise BadFile(
            f"{_written(words[0].path[:-1])} names {target} and does not run it: "
            f"write [python, -m, longtask, run, {target}], or start a program of your own",
            words[0].line,
        )
    if python is not None:
        if texts[1:4] != ["-m", "longtask", "run"]:
            raise BadFile("its command does not begin with [python, -m, longtask, run]: write --python by hand")
        yield from _other(words[0], words[0], 0, python)


def _retargeted(words: list[_Place], texts: list[str], other: str, target: str) -> Iterator[Change]:
    """Replace the other target, as a word of its own or in a script."""

    def replaced(found: re.Match[str]) -> str:
        return found[0].removesuffix(other) + target if found[1] == other else found[0]

    for each, text in zip(words, texts, strict=True):
        written = each.text[each.node.start : each.node.end]
        new = written.replace(other, target) if text == other else _RUN_OR_COMMENT.sub(replaced, written)
        if new != written:
            yield each.replaced(new, f"runs {other}, and {target} now")


def _words(container: _Place) -> Iterator[_Place]:
    for key in ("command", "args"):
        inside = container.inside(key)
        for number in range(len(inside.node.value) if inside and isinstance(inside.node.value, list) else 0):
            if inside and (word := inside.inside(number)):
                yield word


def _is_edited_inside(node: "Node", value: dict[str, Any]) -> bool:
    """Whether a mapping is edited entry by entry; in flow style no entry is deleted."""
    return node.value.keys() <= value.keys() if node.is_flow else bool(node.value.keys() & value.keys())


def _has_items(value: Any) -> bool:
    """Whether a part refers to items of lists, at any depth."""
    return isinstance(value, Part) and any(isinstance(key, int) or _has_items(each) for key, each in value.items())


def _lines(key: str, value: Any, column: int) -> str:
    lines = yaml_text({key: value}).splitlines(keepends=True)
    return "".join(f"{' ' * column}{line}" if line.strip() else line for line in lines)


def _written(path: tuple[str | int, ...]) -> str:
    text = ""
    for each in path:
        text += f"[{each}]" if isinstance(each, int) else f".{each}" if "/" not in each else f"[{each}]"
    return text.lstrip(".")


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 equals 1.0, but not true."""
    return json.dumps(_counted(one), sort_keys=True) == json.dumps(_counted(other), sort_keys=True)


def _counted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _counted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_counted(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
