"""What unfinished runs left, as text."""

from collections.abc import Sequence
from pathlib import Path

from ..hdf5.leftovers import Leftover
from .text import clean, counted, printable
from .units import format_size, format_time


def leftovers_text(folder: Path, found: Sequence[Leftover], *, removed: bool) -> str:
    """Describe what unfinished runs left in a folder, one line each.

    Parameters
    ----------
    folder
        Where it was looked for.
    found
        What there is.
    removed
        Whether it was removed, but for what is being written.
    """
    if not found:
        return f"nothing is left over in '{printable(folder)}'."
    lines = [
        f"  {clean(leftover.target.name, 40):<40}  {_kind(leftover):>16}  {format_size(leftover.n_bytes):>8}  "
        f"{_age(leftover):>8} old"
        for leftover in found
    ]
    removable = [leftover.n_bytes for leftover in found if not leftover.is_in_use]
    total = format_size(sum(removable))
    if not removable:
        end = "all of them are being written: nothing to remove."
    else:
        end = f"removed {total}." if removed else f"{total} can be removed with --remove."
    return "\n".join([f"unfinished outputs in '{printable(folder)}':", "", *lines, "", end])


def _kind(leftover: Leftover) -> str:
    if leftover.is_in_use:
        return "being written"
    return "incomplete" if leftover.n_blocks is None else counted(leftover.n_blocks, "block")


def _age(leftover: Leftover) -> str:
    return format_time(max(1, round(leftover.age)))
