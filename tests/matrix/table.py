"""The table of the matrix: what is told of each cell. `python -m tests.matrix.table` writes it anew, to be read."""

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

from tests.matrix.cells import ENDS, Cell
from tests.matrix.replay import Answer, answers

TABLE = Path(__file__).with_name("table.md")
HEAD = """# What is told of each shape of a pod and each way to end

Shapes: `alone`; `injected` (a mesh's container stands first); `sidecar` (a native one); `second` (another container);
`init` (an init container); `all` of them. The work is always done by container `main`. Where a pod waits, the second
row is what is told when its time to start is over.
"""
COLUMNS = ("shapes", "phase", "reason", "exit code", "attempts", "log of", "retry", "result", "message", "hint")


def told(end_name: str) -> list[tuple[str, str]]:
    """The rows of a way to end: (shapes that have the same answers, the answers)."""
    rows: dict[tuple[Answer, ...], list[str]] = {}
    for shape in ENDS[end_name].shapes:
        rows.setdefault(tuple(answers(Cell(end_name, shape))), []).append(shape)
    return [(", ".join(shapes), _cells(answer)) for given, shapes in rows.items() for answer in given]


def expected() -> dict[str, list[tuple[str, str]]]:
    """The rows that the table has for each way to end."""
    rows: dict[str, list[tuple[str, str]]] = {}
    section: list[tuple[str, str]] = []
    for line in TABLE.read_text().splitlines():
        if line.startswith("## "):
            section = rows.setdefault(line.removeprefix("## "), [])
        elif line.startswith("| ") and not line.startswith("| shapes"):
            shapes, _, answer = line.removeprefix("| ").removesuffix(" |").partition(" | ")
            section.append((shapes, answer))
    return rows


def _cells(answer: Answer) -> str:
    return " | ".join(cell.replace("|", "/") for cell in astuple(answer))


def _written() -> Iterator[str]:
    yield HEAD
    for end_name in ENDS:
        yield f"## {end_name}\n"
        yield f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
        for shapes, answer in told(end_name):
            yield f"| {shapes} | {answer} |"
        yield ""


if __name__ == "__main__":
    TABLE.write_text("\n".join(_written()))
