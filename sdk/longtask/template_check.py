"""Whether a template in a file still says what the function does, and the file with what it says now.

YAML is read by its lines: the SDK has no YAML parser.
"""

import difflib
import re
from collections.abc import Iterator
from itertools import pairwise

SCHEMA_HASH = "longtask.dev/schema-hash"
"""The annotation that tells the schemas that a template was made with; the operator hands it to the pod."""
TEXT_HASH = "longtask.dev/text-hash"
"""The annotation that tells all that comes from the function: title, descriptions and defaults too."""
_PARTS = ("title", "description", "parametersSchema", "resultSchema")
"""Of the spec: what the function says. All else is the author's."""
_DOCUMENT = re.compile(r"^---.*\n", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[^\n]*\n((?:(?:[ \t].*)?\n)*)", re.MULTILINE)
_NAME = re.compile(r"""^(\s+)name:\s*["']?([^\s"'#]+)""", re.MULTILINE)


class NoTemplate(Exception):
    """The file has no such template, or not as block YAML; the text says so."""


def difference(file: str, fresh: str, name: str) -> str:
    """How the template `name` in a file differs from a fresh one in what the function says; empty: not at all.

    Both are YAML, of one or more documents. Raises NoTemplate.
    """
    old = next(_find(_documents(file), name))[1]
    before, now = (_hash(each, SCHEMA_HASH) for each in (old, fresh))
    if before != now:
        found = f"has the schema hash {before}" if before else f"has no annotation {SCHEMA_HASH}"
        problem = f"{found}, but the function has {now} now"
    elif _hash(old, TEXT_HASH) != _hash(fresh, TEXT_HASH):
        problem = (
            "fits, but title, description or defaults of the function are others now. (A default that is computed "
            "when the module is imported is another one each time: write None, and compute it in the function)"
        )
    else:
        return ""
    return "\n".join([f"LongTaskTemplate {name} {problem}", *_changes(old, fresh)])


def updated(file: str, fresh: str, name: str) -> str:
    """The file with what the function says now in the template `name`; every other line is as it was.

    Raises NoTemplate.
    """
    documents = _documents(file)
    for number, old in _find(documents, name):
        documents[number] = _annotated(_with_parts(old, fresh), fresh)
    text = "".join(documents)
    return text.replace("\n", "\r\n") if "\r\n" in file else text


def _documents(file: str) -> list[str]:
    """The documents of a file, with the lines between them."""
    text = file.replace("\r\n", "\n")
    starts = [0, *(found.end() for found in _DOCUMENT.finditer(text)), len(text)]
    return [text[begin:end] for begin, end in pairwise(starts)]


def _find(documents: list[str], name: str) -> Iterator[tuple[int, str]]:
    for number, each in enumerate(documents):
        if re.search(r"""^kind:\s*["']?LongTaskTemplate\b""", each, re.MULTILINE) and _name(each) == name:
            yield number, each
            return
    raise NoTemplate(f"there is no LongTaskTemplate {name}")


def _name(document: str) -> str:
    """The name that stands least deep in the metadata."""
    names = _NAME.findall(_metadata(document))
    return str(min(names, key=lambda found: len(found[0]))[1]) if names else ""


def _metadata(document: str) -> str:
    found = _METADATA.search(document + "\n")
    return found[1] if found else ""


def _hash_line(key: str) -> "re.Pattern[str]":
    return re.compile(
        rf"""^([ \t]+)(["']?{re.escape(key)}["']?:[ \t]*)(["']?[0-9a-f]+["']?)([ \t]*(?:#.*)?)$""", re.MULTILINE
    )


def _hash(document: str, key: str) -> str:
    found = _hash_line(key).search(_metadata(document))
    return found[3].strip("\"'") if found else ""


def _changes(old: str, fresh: str) -> Iterator[str]:
    before, now = (
        [line.strip("\n") for key in _PARTS for line in (_part(each, key) or ("", [], ""))[1]] for each in (old, fresh)
    )
    return difflib.unified_diff(before, now, "file", "function", lineterm="")


def _with_parts(old: str, fresh: str) -> str:
    """The document with the parts of a fresh one."""
    document = old
    for number, key in enumerate(_PARTS):
        now = _part(fresh, key)
        before = _part(document, key)
        lines = [] if now is None else now[1]
        if before is not None:
            head, _, tail = before
        elif lines:
            head, tail = _after(document, _PARTS[:number])
        else:
            continue
        indent = _indent(document)
        document = head + "".join(indent + line.removeprefix("  ") if line.strip() else line for line in lines) + tail
    return document


def _after(document: str, keys: tuple[str, ...]) -> tuple[str, str]:
    """The document in two, where a part comes that it does not have: after the last of these, else at the beginning."""
    for key in reversed(keys):
        if (found := _part(document, key)) is not None:
            return found[0] + "".join(found[1]), found[2]
    spec = _spec(document)
    return document[: spec.end()], document[spec.end() :]


def _part(document: str, key: str) -> tuple[str, list[str], str] | None:
    """What stands before a part of the spec, the lines of the part, and what stands behind."""
    begin, indent = _spec(document).end(), _indent(document)
    head, lines = document[:begin], document[begin:].splitlines(keepends=True)
    for number, line in enumerate(lines):
        if not line.startswith((" ", "#", "\n")):  # the spec has ended
            return None
        if not re.match(rf"""{indent}["']?{key}["']?\s*:""", line):
            continue
        end = number + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(f"{indent} ")):
            end += 1
        while not lines[end - 1].strip():  # blank lines belong to what follows
            end -= 1
        return head + "".join(lines[:number]), lines[number:end], "".join(lines[end:])
    return None


def _spec(document: str) -> "re.Match[str]":
    found = re.search(r"^spec:[ \t]*(?:#.*)?\n", document, re.MULTILINE)
    if found is None or not _indent_after(document, found):
        raise NoTemplate("its spec is not block YAML, as `longtask template` writes it")
    return found


def _indent(document: str) -> str:
    return _indent_after(document, _spec(document))


def _indent_after(document: str, spec: "re.Match[str]") -> str:
    """What stands before the keys of the spec."""
    found = re.match(r"(?:[ \t]*(?:#.*)?\n)*( +)[^ #\n]", document[spec.end() :])
    return found[1] if found else ""


def _annotated(document: str, fresh: str) -> str:
    for key in (SCHEMA_HASH, TEXT_HASH):
        now = f"{key}: {_hash_line(key).search(_metadata(fresh))[3]}"  # type: ignore[index]
        metadata = _metadata(document)
        if old := _hash_line(key).search(metadata):
            new = f"{metadata[: old.start()]}{old[1]}{now}{old[4]}{metadata[old.end() :]}"
        elif other := _hash_line(SCHEMA_HASH).search(metadata):
            new = f"{metadata[: other.end()]}\n{other[1]}{now}{metadata[other.end() :]}"
        elif annotations := re.search(r"^([ \t]+)annotations:[ \t]*(?:#.*)?\n", metadata, re.MULTILINE):
            inside = re.match(r"( *)\S", metadata[annotations.end() :])
            deeper = inside[1] if inside and len(inside[1]) > len(annotations[1]) else f"{annotations[1]}  "
            new = f"{metadata[: annotations.end()]}{deeper}{now}\n{metadata[annotations.end() :]}"
        else:
            indent = min((found[0] for found in _NAME.findall(metadata)), key=len)
            new = f"{indent}annotations:\n{indent}  {now}\n{metadata}"
        document = document.replace(metadata, new, 1)
    return document
