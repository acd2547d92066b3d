"""What is in a file: as a dictionary for programs, as text for people."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import FileError
from ..hdf5.attributes import as_array, read_attribute, split_constant
from ..hdf5.files import GroupHolder, noticing_damage
from ..hdf5.index import NO_IMAGE, SeriesIndex, index_series
from ..hdf5.layout import BACKGROUNDS, FLUORESCENCE, IDENTIFIER, PROVENANCE, count_frames, where
from ..hdf5.source import origin_of
from ..hdf5.url import Url
from ..image import FLImage
from ..meta import DATA_DEF_FL, OTHER_DEF_FL
from ..plain_json import plain
from ..series import FLSeries
from .text import aligned, clean, counted, listed, printable, short
from .units import format_compression, format_time

#: Steps between frames that differ by less than this share of their median are called equal.
SAME_STEP = 0.01
#: Provenance is written by programs; more than this was not written by ours.
_LONGEST_PROVENANCE = 1_000_000
_N_EXAMPLES = 4


def describe_file(path: str | os.PathLike[str] | Url) -> dict[str, Any]:
    """Describe a file that holds a series or a single image.

    Parameters
    ----------
    path
        The file, or a URL, which is opened read-only.

    Returns
    -------
    dict
        Ready for JSON: kind ("series" or "image"), identifier, number, shape and type of the
        frames, their times [s], sizes [bytes], background images, metadata, provenance, and notes
        on what could not be understood. What is not known is None.

    Raises
    ------
    FileError
        (an OSError) if the file cannot be opened, or holds neither a series nor an image.
    SeriesError
        (a ValueError) if the series has a gap, or frames of unequal shape.
    """
    with GroupHolder(path, "r") as holder:
        group = holder.h5
        with noticing_damage(group):
            is_image = FLUORESCENCE in group
            n_frames = 0 if is_image else count_frames(group)
        if is_image:
            found = _describe_image(FLImage(h5file=group))
        elif n_frames:
            found = _describe_series(FLSeries(h5file=group))
        else:
            raise FileError(f"{where(group)} holds neither a series (fli_0, fli_1, …) nor an image (fluorescence).")
        provenance, notes = _read_provenance(group)
        origin, file_bytes = origin_of(group), group.file.id.get_filesize()
    sizes = {"file_bytes": file_bytes, "compression_ratio": found["uncompressed_bytes"] / file_bytes}
    described: dict[str, Any] = plain({"file": origin, **found, **sizes, "provenance": provenance, "notes": notes})
    return described


def file_text(found: Mapping[str, Any]) -> str:
    """Write a description from `describe_file` as text."""
    height, width = found["frame_shape"]
    is_image = found["kind"] == "image"
    what = "a single image" if is_image else f"a series of {counted(found['n_frames'], 'frame')}"
    rows = [
        ("identifier", short(found["identifier"])),
        ("frame", f"{height} x {width} px, {found['dtype']}"),
        ("time" if found["frame_interval"] is None else "duration", _times_in_words(found)),
        ("file size", format_compression(found["file_bytes"], found["uncompressed_bytes"])),
        ("background", _backgrounds_in_words(found)),
    ]
    constant, varying = found["metadata"]["constant"], found["metadata"]["varying"]
    sections = [[f"{printable(found['file'])}: {what}"], aligned(rows)]
    if constant:
        heading = "metadata" if is_image else "metadata, the same in all frames"
        sections.append([heading, *aligned((key, short(value) + _unit(key)) for key, value in constant.items())])
    if varying:
        rows = [(key, _column_in_words(key, column, found["n_frames"])) for key, column in varying.items()]
        sections.append(["metadata that vary", *aligned(rows)])
    if found["provenance"]:
        sections.append(["provenance", *aligned(_provenance_rows(found["provenance"]))])
    if found["notes"]:
        sections.append([f"note: {note}" for note in found["notes"]])
    return "\n\n".join("\n".join(section) for section in sections)


def _describe_series(series: FLSeries) -> dict[str, Any]:
    index = index_series(series.h5, np.arange(len(series)))
    constant, varying = split_constant(series.meta)
    return {
        "kind": "series",
        "identifier": series.identifier,
        "n_frames": len(series),
        "frame_shape": index.frames.shape,
        "dtype": str(index.frames.dtype),
        **_describe_times(series.times),
        "uncompressed_bytes": _uncompressed_bytes(index),
        "backgrounds": {
            _kind(background.images.dataset): {
                "n_frames": int(np.count_nonzero(background.image_of != NO_IMAGE)),
                "n_images": len(background.images),
            }
            for background in index.backgrounds
        },
        "metadata": {
            "constant": constant,
            "varying": {key: _describe_column(column) for key, column in varying.items()},
        },
    }


def _describe_image(image: FLImage) -> dict[str, Any]:
    with noticing_damage(image.h5):
        backgrounds = list(image.h5[BACKGROUNDS]) if BACKGROUNDS in image.h5 else []
    meta, (height, width) = dict(image.meta), image.shape
    time = meta.get("time")
    return {
        "kind": "image",
        "identifier": meta.get(IDENTIFIER),
        "n_frames": 1,
        "frame_shape": (height, width),
        "dtype": str(image.dtype),
        **_describe_times(as_array([time]) if isinstance(time, Real) else np.array([np.nan])),
        "uncompressed_bytes": height * width * image.dtype.itemsize * (1 + len(backgrounds)),
        "backgrounds": {kind: {"n_frames": 1, "n_images": 1} for kind in backgrounds},
        "metadata": {"constant": meta, "varying": {}},
    }


def _describe_times(times: NDArray[np.float64]) -> dict[str, Any]:
    known = np.sort(times[np.isfinite(times)])
    steps = np.diff(known)
    interval = float(np.median(steps)) if steps.size else None
    regular = interval is not None and bool(np.all(np.abs(steps - interval) <= SAME_STEP * interval))
    return {
        "n_with_time": len(known),
        "first_time": known[0] if known.size else None,
        "duration": known[-1] - known[0] if known.size else None,
        "frame_interval": interval,
        "regular": regular,
    }


def _uncompressed_bytes(index: SeriesIndex) -> int:
    images = (index.frames, *(background.images for background in index.backgrounds))
    return sum(len(part) * part.image_bytes for part in images)


def _kind(dataset: str) -> str:
    return dataset.rpartition("/")[2]


def _describe_column(column: Sequence[Any]) -> dict[str, Any]:
    present = [value for value in column if value is not None]
    values = as_array(present)
    if values.dtype != object:
        return {"n": len(present), "lowest": values.min(), "highest": values.max()}
    different = list(dict.fromkeys(short(value) for value in present))
    examples = different if len(different) <= _N_EXAMPLES else [*different[: _N_EXAMPLES - 1], different[-1]]
    return {"n": len(present), "n_different": len(different), "examples": examples}


def _read_provenance(group: h5py.Group) -> tuple[dict[str, Any] | None, list[str]]:
    """Read where a file comes from; it may have been written by anybody."""
    stored = read_attribute(group, PROVENANCE)
    if stored is None:
        return None, []
    unreadable = f"the root attribute '{PROVENANCE}' is not readable as provenance"
    if not isinstance(stored, str) or len(stored) > _LONGEST_PROVENANCE:
        return None, [f"{unreadable}: expected JSON text."]
    try:
        provenance = json.loads(stored)
    except (ValueError, RecursionError) as error:
        return None, [f"{unreadable}: {clean(str(error))}."]
    if not isinstance(provenance, dict):
        return None, [f"{unreadable}: expected a JSON object, found {clean(type(provenance).__name__)}."]
    return provenance, []


def _provenance_rows(provenance: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Show the numbers that people ask for; --json has them all."""
    asked_for = ("status", "background", "half_life", "largest_factor", "r2")
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            chosen = {name: value[name] for name in asked_for if name in value} if key == "estimate" else value
            named = [f"{name.replace('_', ' ')} {short(entry)}" for name, entry in chosen.items() if entry is not None]
            value = ", ".join(named)
        if value not in (None, ""):
            yield clean(str(key), 16), short(value)


def _times_in_words(found: Mapping[str, Any]) -> str:
    n_with_time, n_frames = found["n_with_time"], found["n_frames"]
    if n_with_time == 0:
        return "not known"
    if found["frame_interval"] is None:
        text = format_time(found["first_time"])
    else:
        steps = "a frame every" if found["regular"] else "irregular, in the median a frame every"
        text = f"{format_time(found['duration'])}, {steps} {format_time(found['frame_interval'])}"
    missing = n_frames - n_with_time
    return f"{text} ({counted(missing, 'frame')} without a time)" if missing else text


def _backgrounds_in_words(found: Mapping[str, Any]) -> str:
    if not found["backgrounds"]:
        return "none stored"
    return listed(
        [
            f"{clean(kind, 20)} ({counted(background['n_images'], 'image')} for "
            f"{counted(background['n_frames'], 'frame')})"
            for kind, background in found["backgrounds"].items()
        ]
    )


def _column_in_words(key: str, column: Mapping[str, Any], n_frames: int) -> str:
    if "examples" not in column:
        text = f"{short(column['lowest'])} to {short(column['highest'])}{_unit(key)}"
    elif column["n_different"] > _N_EXAMPLES:
        text = clean(f"{', '.join(column['examples'][:-1])}, … {column['examples'][-1]}")
    else:
        text = clean(", ".join(column["examples"]))
    missing = n_frames - column["n"]
    return f"{text} ({counted(missing, 'frame')} without)" if missing else text


def _unit(key: str) -> str:
    """Return the unit of a metadata key, which the vocabulary gives in brackets."""
    _, bracket, unit = {**DATA_DEF_FL, **OTHER_DEF_FL}.get(key, "").partition("[")
    return f" {unit.rstrip(']')}" if bracket else ""
