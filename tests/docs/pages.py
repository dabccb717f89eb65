"""The pages of documentation, and what stands in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md"), *ROOT.glob("tests/*/README.md")]
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: "```python local" is of the language python, and its place is local.

    The place says where the block runs: `local` and `test` in a folder that holds the pages' `local` files, `test` by
    pytest; `pod` with what a task's pod has; `cluster` with kubectl, for a task that runs; `dryrun` the same without an
    effect; `person` with the command line, and `asked` so for a task that asks; `agent` against the MCP server; empty:
    nowhere. Of JSON it says what kind of document it is.
    """

    page: str
    line: int
    language: str
    place: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the block is, where its first line is a comment that names one."""
        found = re.match(r"# ([\w.]+)\n", self.text)
        return found[1] if found else None


def blocks(language: str, place: str | None = None, page: str | None = None) -> list[Block]:
    """All blocks in one language, in the order of the pages; those of one place or page where it is given."""
    return [
        block
        for path in PAGES
        for block in _blocks(path)
        if block.language == language and place in (None, block.place) and page in (None, block.page)
    ]


def _blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = re.finditer(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    name = str(page.relative_to(ROOT))
    return [Block(name, text.count("\n", 0, match.start()) + 1, match[1], match[2] or "", match[3]) for match in found]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as repository hosts make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
