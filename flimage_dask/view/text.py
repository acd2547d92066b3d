"""Plain text for a terminal: aligned columns, short numbers, and nothing that could steer the terminal."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 76
_SHOWN = 4


def aligned(rows: Iterable[tuple[str, str]], *, indent: int = 2, width: int = 17) -> list[str]:
    r"""Write labels and values in two columns.

    Parameters
    ----------
    rows
        Label and value of each line.
    indent, width
        Spaces before the labels, and the width of their column.

    Examples
    --------
    >>> print(*aligned([("frames", "47"), ("peak memory", "90 MB")], width=13), sep="\n")
      frames       47
      peak memory  90 MB
    """
    return [f"{' ' * indent}{label:<{width}}{value}".rstrip() for label, value in rows]


def clean(text: str, longest: int = LONGEST) -> str:
    r"""Make text from a file fit to print: on one line, of bounded length, without control characters.

    Examples
    --------
    >>> clean("two\nlines and a \x1b[31mcolour")
    'two lines and a ?[31mcolour'
    """
    line = printable(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def printable(text: str | Path) -> str:
    r"""Write text as a whole, so that a path can be copied, without control characters.

    Examples
    --------
    >>> printable("a  name \x1b[31mwith a colour.h5")
    'a  name ?[31mwith a colour.h5'
    """
    return "".join(character if character.isprintable() else "?" for character in str(text))


def short(value: Any) -> str:
    """Write any value of metadata in a few characters.

    Examples
    --------
    >>> short(1.39e-7), short("mito"), short([1, 2, 3, 4, 5, 6]), short(None)
    ('1.39e-07', 'mito', '1, 2, 3, … 6', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray | list | tuple):
        return clean(listed([short(entry) for entry in value]))
    return clean(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def listed(entries: list[str]) -> str:
    """List a few entries, leaving out the middle of many."""
    if len(entries) <= _SHOWN:
        return ", ".join(entries)
    return f"{', '.join(entries[: _SHOWN - 1])}, … {entries[-1]}"


def counted(n: int, noun: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "frame"), counted(12_000, "frame")
    ('1 frame', '12,000 frames')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
