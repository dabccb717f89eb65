"""Reads YAML, and knows where everything stands: what `longtask template` wrote, and what people made of it.

A reader of its own, because the SDK has no dependency. It takes what kubectl takes, and the words that it takes for
numbers, true, false and null, but for keys after a `?`, and tells what is broken with its line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MAX_DEPTH: Final = 100
"""Levels of nesting."""
_SEPARATOR = re.compile(r"^(?:---|\.\.\.)(?=\s)(?:[ \t]*(?:#.*)?\n)?|^%.*\n", re.MULTILINE)
_BLANK_LINE = re.compile(r"[ \t]*(?:(?<!\S)#[^\n]*)?\n")
_COMMENT = re.compile(r"[ \t]*(?<!\S)#[^\n]*")
_LINE_END = re.compile(r"[ \t]*(?:(?<!\S)#[^\n]*)?(?:\n|\Z)")
_FLOW_SPACE = re.compile(r"[ \t\n]+|(?<!\S)#[^\n]*")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\[\s\S])*"')
_SINGLE = re.compile(r"'(?:[^']|'')*'")
_REST = r"(?:[^\n:#]|:(?=\S)|(?<=\S)#)*"
_FIRST = r"(?:[^\s,\[\]{}#&*!|>'\"%@`\-?:]|[\-?:](?=\S))"
_PLAIN = re.compile(_FIRST + _REST)
_GOES_ON = re.compile(r"(\n(?:[ \t]*\n)*)( *)((?![#\s])(?:[^\n:#]|:(?=\S)|(?<=\S)#)+)")
_PLAIN_IN_FLOW = re.compile(
    r"(?:[^\s,\[\]{}#&*!|>'\"%@`\-?:]|[\-?:](?=[^\s,\[\]{}]))(?:[^\n,\[\]{}:#]|:(?=[^\s,\[\]{}])|(?<=\S)#)*"
)
_GOES_ON_IN_FLOW = re.compile(r"(?!#)(?:[^\n,\[\]{}:#]|:(?=[^\s,\[\]{}])|(?<=\S)#)+")
_FOLD = re.compile(r"[ \t]*\n(?:[ \t]*\n)*[ \t]*")
_JOINED = re.compile(r"((?<!\\)(?:\\\\)*)\\\n[ \t]*")
_COLON = re.compile(r"[ ]*:(?=\s|$)")
_DASH = re.compile(r"-(?=\s|$)")
_PROPERTY = re.compile(r"([&!])([^\s,\[\]{}]*)(?:[ ]+|(?=\n|$))")
_ALIAS = re.compile(r"\*([^\s,\[\]{}]+)")
_HEADER = re.compile(r"([|>])(?:([+-]?)([1-9]?)|([1-9])([+-]))[ \t]*(?:(?<!\S)#[^\n]*)?(?:\n|$)")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))")
_ESCAPED = dict(zip('0abtnvfre "/\\N_LP\t', '\0\a\b\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029\t', strict=True))
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_OTHER_INTEGER = re.compile(r"([-+]?)0(?:(x[0-9a-fA-F_]+)|(b[01_]+)|o?([0-7_]+))")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_TAB: Final = "a tab: YAML is indented with spaces"
_WORDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **{form(word): True for word in ("y", "yes", "true", "on") for form in (str, str.title, str.upper)},
    **{form(word): False for word in ("n", "no", "false", "off") for form in (str, str.title, str.upper)},
}


class BadYaml(ValueError):
    """What no reader of YAML takes; the text says why. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class Node:
    """A value and where it stands: from `start` to `end` in the text. Its parts are nodes.

    `is_flow`: written with braces, brackets, or an alias of what stands elsewhere. `keys`: where each key begins.
    """

    value: Any
    start: int
    end: int
    is_flow: bool = False
    keys: Mapping[str, int] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value as JSON has it."""
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        return [each.plain() for each in self.value] if isinstance(self.value, list) else self.value


def read_documents(text: str) -> list[Node]:
    """The documents of a text, whose lines end with a line feed. Raises BadYaml."""
    begin, found = 0, []
    for separator in _SEPARATOR.finditer(text):
        found.append(_Reader(text[: separator.start()], begin).document())
        begin = separator.end()
        if text[begin - 1] != "\n":
            raise BadYaml(text.count("\n", 0, begin) + 1, f"{separator[0]} stands on a line of its own")
    return [*found, _Reader(text, begin).document()]


class _Reader:
    """Reads one document, from its place in the text on."""

    def __init__(self, text: str, begin: int) -> None:
        self._text = text
        self._at = begin
        self._depth = 0
        self._anchors: dict[str, Node] = {}

    def document(self) -> Node:
        self._skip()
        node = self._block(-1) if self._at < len(self._text) else Node(None, self._at, self._at)
        self._skip()
        if self._at < len(self._text):
            raise self._bad(f"{self._shown()} does not belong to what stands above it: look at its indentation")
        return node

    def _block(self, above: int) -> Node:
        """What begins here, on lines that are indented deeper than that of column `above`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._bad(f"nested deeper than {MAX_DEPTH} levels")
        if _DASH.match(self._text, self._at):
            node = self._sequence(self._column)
        elif self._is_key():
            node = self._mapping(self._column)
        else:
            node = self._inline(above)
        self._depth -= 1
        return node

    def _mapping(self, column: int) -> Node:
        start = end = self._at
        entries: dict[str, Node] = {}
        keys: dict[str, int] = {}
        while self._column == column and self._at < len(self._text):
            if not self._is_key():
                raise self._bad(f"a key and a colon are missing: {self._shown()}")
            place = self._at
            key = self._key()
            if key in entries:
                raise BadYaml(self._line(place), f"the key {key} stands here for the second time")
            keys[key] = place
            entries[key] = self._value(column, is_entry=True)
            end = entries[key].end
            self._skip()
        self._not_deeper(column)
        return Node(entries, start, end, keys=keys)

    def _sequence(self, column: int) -> Node:
        start = end = self._at
        items: list[Node] = []
        while self._column == column and (dash := _DASH.match(self._text, self._at)):
            self._at = dash.end()
            items.append(self._value(column))
            end = items[-1].end
            self._skip()
        self._not_deeper(column)
        return Node(items, start, end)

    def _not_deeper(self, column: int) -> None:
        if self._at < len(self._text) and self._column > column:
            raise self._bad(f"{self._shown()} does not belong to what stands above it: look at its indentation")

    def _value(self, column: int, *, is_entry: bool = False) -> Node:
        """What follows the colon of an entry, or the dash of an item, in this column."""
        end = self._at
        self._spaces()
        anchor = self._properties()
        if self._rest_of_line():
            node = self._inline(column) if is_entry else self._block(column)
        else:
            self._skip()
            is_there = self._at < len(self._text)
            if is_there and (self._column > column or (is_entry and self._is_item_at(column))):
                node = self._block(column)
            else:
                node = Node(None, end, end)
        if anchor:
            self._anchors[anchor] = node
        return node

    def _inline(self, above: int) -> Node:
        """What is no collection in block style."""
        if self._peek in "|>":
            return self._lines(above)
        node = self._flow() if self._peek in "[{\"'*" else self._plain(above)
        self._ends_line()
        return node

    def _plain(self, above: int) -> Node:
        start = self._at
        found = _PLAIN.match(self._text, start)
        if found is None:
            raise self._bad(f"no value can begin with {self._shown()}: quote the text")
        text, self._at, end = found[0].rstrip(), found.end(), start + len(found[0].rstrip())
        while self._peek in "\n" and self._at < len(self._text):
            more = _GOES_ON.match(self._text, self._at)
            if more is None or len(more[2]) <= above:
                break
            text += ("\n" * more[1].count("\n", 1) or " ") + more[3].strip()
            self._at = more.end()
            end = more.start(3) + len(more[3].rstrip())
        return Node(_resolved(text) if "\n" not in text else text, start, end)

    def _ends_line(self) -> None:
        """Raises BadYaml where something follows a value."""
        if _COLON.match(self._text, self._at):
            raise self._bad("a key stands where a value is: put it on a line of its own, or quote the text")
        if self._rest_of_line():
            raise self._bad(f"{self._shown()} does not belong to the value before it")

    def _lines(self, above: int) -> Node:
        """A literal block, or a folded one."""
        start = self._at
        header = _HEADER.match(self._text, start)
        if header is None:
            raise self._bad("behind | or > stand only + or - and a number")
        self._at = header.end()
        own = header[3] or header[4]
        indent = max(above, 0) + int(own) if own else 0
        lines: list[str] = []
        end = header.end(1)
        while self._at < len(self._text):
            stop = self._text.find("\n", self._at)
            stop = len(self._text) if stop < 0 else stop
            line = self._text[self._at : stop]
            depth = len(line) - len(line.lstrip(" "))
            if line.strip(" "):
                indent = indent or depth
                if depth < indent or depth <= above:
                    break
                end = stop
            lines.append(line[indent:] if len(line) > indent else "")
            self._at = min(stop + 1, len(self._text))
        chomp = header[2] or header[5]
        return Node(_chomped(lines, folds=header[1] == ">", chomp=chomp or ""), start, end)

    def _flow(self) -> Node:
        start, opening = self._at, self._peek
        if alias := _ALIAS.match(self._text, start):
            self._at = alias.end()
            if alias[1] not in self._anchors:
                raise BadYaml(self._line(start), f"no anchor &{alias[1]} stands above *{alias[1]}")
            return Node(self._anchors[alias[1]].value, start, alias.end(), is_flow=True)
        if opening in "\"'":
            return Node(self._quoted(), start, self._at)
        if opening in "[{":
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._bad(f"nested deeper than {MAX_DEPTH} levels")
            self._at += 1
            node = self._flow_list(start) if opening == "[" else self._flow_object(start)
            self._depth -= 1
            return node
        text = ""
        while found := (_PLAIN_IN_FLOW if not text else _GOES_ON_IN_FLOW).match(self._text, self._at):
            text += f" {found[0].strip()}" if text else found[0].strip()
            self._at = found.end()
            end = found.start() + len(found[0].rstrip())
            if self._peek != "\n":
                break
            self._flow_space()
        if not text:
            raise self._bad(f"no value can begin with {self._shown()}: quote the text")
        return Node(_resolved(text), start, end)

    def _flow_list(self, start: int) -> Node:
        items: list[Node] = []
        while not self._closes("]", start):
            items.append(self._flow_value())
            if self._peek == ":":
                raise self._bad(
                    f"a colon stands in the list that begins in line {self._line(start)}: "
                    "close that with ], or put the pair in braces"
                )
            self._comma("]", start)
        return Node(items, start, self._at, is_flow=True)

    def _flow_object(self, start: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, int] = {}
        while not self._closes("}", start):
            place, was_quoted = self._at, self._peek in "\"'"
            key = self._flow()
            name = self._text[key.start : key.end] if not isinstance(key.value, str) else key.value
            if isinstance(key.value, (dict, list)):
                raise BadYaml(self._line(place), "a key is a text")
            if name in entries:
                raise BadYaml(self._line(place), f"the key {name} stands here for the second time")
            self._flow_space()
            entries[name], keys[name] = Node(None, key.end, key.end), place
            if self._peek == ":" and (was_quoted or self._text[self._at + 1 : self._at + 2] in (*" \n\t,}[{", "")):
                self._at += 1
                self._flow_space()
                if self._peek not in (",", "}"):
                    entries[name] = self._flow_value()
            self._comma("}", start)
        return Node(entries, start, self._at, is_flow=True, keys=keys)

    def _flow_value(self) -> Node:
        anchor = self._properties()
        node = self._flow()
        if anchor:
            self._anchors[anchor] = node
        self._flow_space()
        return node

    def _closes(self, bracket: str, start: int) -> bool:
        self._flow_space()
        if not self._peek:
            raise BadYaml(self._line(start), f"{self._text[start]} is not closed by {bracket}")
        if self._peek != bracket:
            return False
        self._at += 1
        return True

    def _comma(self, bracket: str, start: int) -> None:
        if self._peek == ",":
            self._at += 1
        elif not self._peek:
            raise BadYaml(self._line(start), f"{self._text[start]} is not closed by {bracket}")
        elif self._peek != bracket:
            raise self._bad(f"a comma or {bracket} is missing before {self._shown()}")

    def _quoted(self) -> str:
        start, quote = self._at, self._peek
        found = (_DOUBLE if quote == '"' else _SINGLE).match(self._text, start)
        if found is None:
            raise self._bad(f"the text that begins with {self._shown()} has no closing quote")
        self._at = found.end()
        if quote == "'":
            return _folded(found[0][1:-1]).replace("''", "'")
        return self._unescaped(start, _folded(found[0][1:-1]))

    def _unescaped(self, start: int, text: str) -> str:
        def escaped(found: "re.Match[str]") -> str:
            code = found[1] or found[2] or found[3]
            if code is None and found[4] not in _ESCAPED:
                raise BadYaml(self._line(start), f"\\{found[4]} means nothing in double quotes: write \\\\{found[4]}")
            if code and int(code, 16) > 0x10FFFF:
                raise BadYaml(self._line(start), f"{found[0]} is no character")
            return chr(int(code, 16)) if code else _ESCAPED[found[4]]

        text = _ESCAPE.sub(escaped, text)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _is_key(self) -> bool:
        at = self._at
        if self._peek in "\"'":
            found = (_DOUBLE if self._peek == '"' else _SINGLE).match(self._text, at)
            is_line = found is not None and "\n" not in found[0]
            return is_line and bool(_COLON.match(self._text, found.end() if found else at))
        found = _PLAIN.match(self._text, at)
        return found is not None and bool(_COLON.match(self._text, found.start() + len(found[0].rstrip())))

    def _key(self) -> str:
        if self._peek in "\"'":
            key = self._quoted()
        else:
            key = _matched(_PLAIN, self._text, self._at)[0].rstrip()
            self._at += len(key)
        self._at = _matched(_COLON, self._text, self._at).end()
        return key

    def _properties(self) -> str:
        """Skips tags; the anchor's name, or nothing."""
        anchor = ""
        while found := _PROPERTY.match(self._text, self._at):
            self._at = found.end()
            anchor = found[2] if found[1] == "&" else anchor
        return anchor

    def _is_item_at(self, column: int) -> bool:
        return self._column == column and _DASH.match(self._text, self._at) is not None

    def _spaces(self) -> None:
        while self._peek == " ":
            self._at += 1
        if self._peek == "\t":
            raise self._bad(_TAB)

    def _rest_of_line(self) -> bool:
        """Whether something stands here before the line ends, but for a comment."""
        return not _LINE_END.match(self._text, self._at)

    def _skip(self) -> None:
        """Go to the next thing, over spaces, comments and line ends."""
        while blank := _BLANK_LINE.match(self._text, self._at):
            self._at = blank.end()
        if last := _COMMENT.match(self._text, self._at):
            self._at = last.end()
        self._spaces()

    def _flow_space(self) -> None:
        while found := _FLOW_SPACE.match(self._text, self._at):
            self._at = found.end()

    @property
    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    @property
    def _column(self) -> int:
        return self._at - self._text.rfind("\n", 0, self._at) - 1

    def _bad(self, problem: str) -> BadYaml:
        return BadYaml(self._line(self._at), problem)

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1

    def _shown(self) -> str:
        return self._text[self._at : self._at + 40].partition("\n")[0].strip() or "the end of the file"


def _matched(pattern: "re.Pattern[str]", text: str, at: int) -> "re.Match[str]":
    """What is known to be there."""
    found = pattern.match(text, at)
    if found is None:
        raise AssertionError(f"{pattern.pattern} is not found at {at}")
    return found


def _resolved(text: str) -> Any:
    """What a plain text means to kubectl."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if other := _OTHER_INTEGER.fullmatch(text):
        digits = "0" + (other[2] or other[3] or f"o{other[4]}").replace("_", "")
        return -int(digits, 0) if other[1] == "-" else int(digits, 0)
    return float(text) if _NUMBER.fullmatch(text) else text


def _folded(text: str) -> str:
    """A quoted text, whose line ends are spaces, and blank lines line ends."""
    return _FOLD.sub(lambda found: "\n" * (found[0].count("\n") - 1) or " ", _JOINED.sub(r"\1", text))


def _chomped(lines: list[str], *, folds: bool, chomp: str) -> str:
    """The text of a block."""
    text = "".join(f"{line}\n" for line in (_folded_lines(lines) if folds else lines))
    body = text.rstrip("\n")
    if chomp == "+":
        return text
    return body if chomp == "-" or not body else f"{body}\n"


def _folded_lines(lines: list[str]) -> list[str]:
    """The lines of a folded block: those that begin at its edge are one, up to a blank line."""
    folded: list[str] = []
    blanks, before = 0, ""
    for line in lines:
        if not line:
            blanks += 1
            continue
        joins = bool(before) and not before.startswith((" ", "\t")) and not line.startswith((" ", "\t"))
        if joins and not blanks:
            folded[-1] += f" {line}"
        else:
            folded += [*[""] * (blanks - joins), line]
        blanks, before = 0, line
    return [*folded, *[""] * blanks]
