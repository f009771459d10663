"""Columns of a printed table: how wide text will be, and which columns get lines so that no table is wider than the page."""

from collections.abc import Sequence
from dataclasses import dataclass

#: Widths in inches: of a column of a two-column paper, and of both.
COLUMN, PAGE = 3.3, 6.9
_SAFE = 4.0  # points left over, as widths are estimates
_POINT, _GAP = 72.27, 6.0  # TeX's points an inch; points between two columns
#: Sizes of print that are tried, and about their points: small letters are wider for their size.
_SIZES = ((r"\footnotesize", 8.0), (r"\scriptsize", 7.4), (r"\tiny", 6.2))
_WIDE = set("mwMWABCDEFGHKNOPQRSTUVXYZ%&@+=<>\N{PLUS-MINUS SIGN}\N{MINUS SIGN}\N{MULTIPLICATION SIGN}")
_NARROW = set("iljtfr.,;:()[]'|! ")


@dataclass(frozen=True)
class Layout:
    """How the columns of a table are set.

    Attributes:
        size: LaTeX's command.
        widths: of each column, in points; None where it takes what it needs.
        is_number: of each column.
        blocks: columns of each tabular: a table that fits in no other way is cut, with its first column repeated.
        room: the width that it fits into, in inches.
    """

    size: str
    widths: tuple[float | None, ...]
    is_number: tuple[bool, ...]
    blocks: tuple[tuple[int, ...], ...]
    room: float

    def kind(self, i: int) -> str:
        """LaTeX's type of a column."""
        return "r" if self.is_number[i] else "l" if self.widths[i] is None else f"p{{{self.widths[i]:.0f}pt}}"

    def head(self, i: int, text: str) -> str:
        """A header, in lines where its column is narrow."""
        if self.widths[i] is None or not text:
            return text
        side = r"\raggedleft" if self.is_number[i] else r"\raggedright"
        return rf"\multicolumn{{1}}{{p{{{self.widths[i]:.0f}pt}}}}{{{side} {text}}}"

    def cell(self, i: int, text: str) -> str:
        """A cell, in lines where its column is narrow; numbers stay in one."""
        return text if self.widths[i] is None or self.is_number[i] else rf"{{\raggedright {text}\par}}"


def fit_columns(
    lines: Sequence[Sequence[str]], n_heads: int, is_number: Sequence[bool], rooms: Sequence[float] = (PAGE,)
) -> Layout:
    """The first width and size of print that holds a table, with lines in columns where that helps.

    Args:
        lines: texts of the cells, headers first.
        n_heads: how many of the lines are headers.
        is_number: of each column.
        rooms: widths to try, in inches.
    """
    numbers = tuple(is_number)
    for room in rooms:
        for size, points in _SIZES[: 1 if room < max(rooms) else None]:
            widths = _share(lines, n_heads, numbers, room * _POINT - _SAFE, points)
            if widths is not None:
                return Layout(size, widths, numbers, (tuple(range(len(numbers))),), room)
    return _cut(lines, n_heads, numbers, max(rooms))


def width_of(text: str, points: float) -> float:
    """About how wide text will be in print, in points: a little more than it is."""
    units = sum(
        0.9 if letter in _WIDE else 0.37 if letter in _NARROW else 0.54 if letter.isdigit() else 0.58 for letter in text
    )
    return (units + 0.5 * (text.count("\N{PLUS-MINUS SIGN}") + text.count("*"))) * points


def _share(
    lines: Sequence[Sequence[str]], n_heads: int, numbers: tuple[bool, ...], room: float, points: float
) -> tuple[float | None, ...] | None:
    """Widths of columns, None for what each needs; None where they cannot be had."""
    natural = [max(width_of(line[i], points) for line in lines) for i in range(len(numbers))]
    if sum(natural) + _GAP * len(numbers) <= room:
        return (None,) * len(numbers)
    least = [_least(lines, n_heads, i, numbers[i], points) for i in range(len(numbers))]
    left = room - _GAP * len(numbers) - sum(least)
    if left < 0:
        return None
    wanted = [max(0.0, whole - part) for whole, part in zip(natural, least, strict=True)]
    given = [part + left * want / sum(wanted) for part, want in zip(least, wanted, strict=True)]
    return tuple(width if want else None for width, want in zip(given, wanted, strict=True))


def _least(lines: Sequence[Sequence[str]], n_heads: int, i: int, is_number: bool, points: float) -> float:
    """A column's longest word; numbers are one word each."""
    bodies = [width_of(line[i], points) for line in lines[n_heads:]] if is_number else []
    words = [word for line in (lines[:n_heads] if is_number else lines) for word in line[i].split()]
    return max([*bodies, *(width_of(word, points) for word in words)], default=0.0)


def _cut(lines: Sequence[Sequence[str]], n_heads: int, numbers: tuple[bool, ...], room: float) -> Layout:
    """Several tabulars, each with the first column, in the middle size."""
    size, points = _SIZES[1]
    least = [_least(lines, n_heads, i, numbers[i], points) + _GAP for i in range(len(numbers))]
    first, blocks = least[0], [[0]]
    for i in range(1, len(numbers)):
        if len(blocks[-1]) > 1 and first + sum(least[k] for k in blocks[-1][1:]) + least[i] > room * _POINT - _SAFE:
            blocks.append([0])
        blocks[-1].append(i)
    return Layout(size, tuple(width - _GAP for width in least), numbers, tuple(map(tuple, blocks)), room)
