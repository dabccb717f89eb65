"""Columns as `kubectl get` prints them. Pure."""

from collections.abc import Sequence

from rich.text import Text

from longtask_cli.text import fitted, line, padded, width

GAP = "   "
LEAST = 8
"""Columns that are left of a column that is made narrower, at the least."""
STYLES = {
    "Succeeded": "green",
    "Running": "blue",
    "Failed": "red",
    "Cancelled": "yellow",
    "WaitingForInput": "magenta",
    "Suspended": "yellow",
    "False": "red",
}
"""Colours of cells, by their whole text."""


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None, flexible: int = -1
) -> list[Text]:
    """The lines of a table. With `columns`, the width of a terminal, no line is longer: the column with the index
    `flexible` is made narrower first.
    """
    cells = [list(headers), *([line(cell) for cell in row] for row in rows)]
    widths = [max(width(row[index]) for row in cells) for index in range(len(headers))]
    if columns is not None:
        excess = sum(widths) + len(GAP) * (len(widths) - 1) - columns
        widths[flexible] = max(min(LEAST, widths[flexible]), widths[flexible] - max(0, excess))
    return [_line(row, widths, columns, head=number == 0) for number, row in enumerate(cells)]


def _line(row: list[str], widths: list[int], columns: int | None, *, head: bool) -> Text:
    text = Text(no_wrap=True)
    for cell, wide in zip(row[:-1], widths, strict=False):
        text.append(padded(fitted(cell, wide), wide) + GAP, style=_style(cell, head=head))
    text.append(fitted(row[-1], widths[-1]), style=_style(row[-1], head=head))
    if columns is not None and width(text.plain) > columns:
        text.truncate(columns, overflow="ellipsis")
    return text


def _style(cell: str, *, head: bool) -> str:
    return "bold" if head else STYLES.get(cell, "")
