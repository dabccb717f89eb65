"""Columns as `kubectl get` prints them. Pure."""

from collections.abc import Sequence

from rich.text import Text

from longtask_cli.text import fitted, line, padded, width

GAP = "   "
LEAST = 8
"""Columns that are left of the last cell, at the least."""
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


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None) -> list[Text]:
    """The lines of a table. With `columns`, the width of a terminal, no line is longer: the last cell is cut first."""
    cells = [list(headers), *([line(cell) for cell in row] for row in rows)]
    widths = [max(width(row[index]) for row in cells) for index in range(len(headers))]
    return [_line(row, widths, columns, head=number == 0) for number, row in enumerate(cells)]


def _line(row: list[str], widths: list[int], columns: int | None, *, head: bool) -> Text:
    *first, last = row
    text, used = Text(no_wrap=True), 0
    for cell, wide in zip(first, widths, strict=False):
        text.append(padded(cell, wide) + GAP, style=_style(cell, head=head))
        used += wide + len(GAP)
    if columns is None:
        text.append(last, style=_style(last, head=head))
        return text
    text.append(fitted(last, max(LEAST, columns - used)), style=_style(last, head=head))
    if width(text.plain) > columns:
        text.truncate(columns, overflow="ellipsis")
    return text


def _style(cell: str, *, head: bool) -> str:
    return "bold" if head else STYLES.get(cell, "")
