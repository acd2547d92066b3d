"""An estimate as JSON text, and back: the same numbers to the last bit.

The keys are those of `BleachingEstimate.summary`, and besides

=================  ==========================================================================
``format``         "flimage_dask bleaching estimate"
``format_version`` 1
``backgrounds``    what is subtracted [counts]: a number, a list with one a frame, or an image (y, x)
``left_out``       positions of frames without a finite intensity
``pixels``         ``n_pixels``, ``saturation`` [counts], and the lists ``n_finite`` and ``n_saturated``
                   with one number a frame; or null
``arrays``         lists with one number a frame: ``times`` [s] (null where unknown), ``trace``, ``decay``,
                   ``decay_errors``, ``shifts`` [counts], ``factors``, ``factor_errors`` (of their logarithm)
=================  ==========================================================================

Numbers that are not finite are null: a half-life of a series that does not bleach and an AICc with too
few frames are infinite, all others are not a number.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..plain_json import as_python
from .checked_json import CheckedObject
from .estimate import ARRAYS, NO_BLEACHING, NOT_CORRECTED, STATUSES, BleachingEstimate
from .options import CORRECTIONS
from .pixels import PixelCounts

FORMAT, FORMAT_VERSION = "flimage_dask bleaching estimate", 1


def as_json(estimate: BleachingEstimate) -> str:
    """Write an estimate as one JSON object; for the keys see above."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **estimate.summary(),
        "backgrounds": _listed(np.asarray(estimate.background, np.float64)),
        "left_out": list(estimate.left_out),
        "pixels": _listed_pixels(estimate.pixels),
        "arrays": {name: getattr(estimate, name) for name in ARRAYS},
    }
    return _key_by_key(content)


def from_json(text: str) -> BleachingEstimate:
    """Read an estimate that was written as JSON.

    Raises
    ------
    ParameterError
        (a ValueError) if the text is no such object, or a key is missing or holds what no estimate can hold; it
        names the key, and the frame.
    """
    found = CheckedObject(_checked(text))
    arrays = found.part("arrays")
    trace = arrays.array("trace")
    n_frames = found.whole("n_frames", lowest=1)
    if n_frames != len(trace):
        raise found.refusal("n_frames", f"{len(trace)}, the length of the trace")
    status = _one_of(STATUSES, found, "status")
    named = _by_name(found)
    # A curve that does not bleach has an infinite one, what has no curve has none.
    is_one_curve = bool(named["parameters"]) and ("n_parts" not in found or found.whole("n_parts", lowest=1) == 1)
    has_curve = is_one_curve or status in (NO_BLEACHING, NOT_CORRECTED)
    missing_half_life = np.inf if has_curve else np.nan
    return BleachingEstimate(
        model=found.text("model"),
        requested=found.text("requested"),
        formula=found.text("formula"),
        status=status,
        background=_background(found),
        border_px=None if found.is_null("border_px") else found.whole("border_px", lowest=1),
        times=arrays.array("times"),
        trace=trace,
        decay=arrays.array("decay"),
        decay_errors=arrays.array("decay_errors"),
        factors=arrays.known_array("factors", above=0.0),
        factor_errors=arrays.array("factor_errors"),
        shifts=arrays.known_array("shifts"),
        **named,
        half_life=found.number("half_life", missing=missing_half_life),
        r2=found.number("r2"),
        rmse=found.number("rmse"),
        aicc=found.numbers("aicc", missing=np.inf),
        left_out=found.positions("left_out", n_frames),
        excluded=found.positions("excluded", n_frames),
        outliers=found.positions("outliers", n_frames),
        correction=_correction(found),
        robust=found.flag("robust"),
        warnings=found.lines("warnings"),
        n_effective=found.number("n_effective"),
        neighbour_correlation=found.number("neighbour_correlation"),
        trace_kind=found.text("trace_kind"),
        prepared=found.text("prepared") if "prepared" in found else "",
        pixels=None if found.is_null("pixels") else _pixels(found.part("pixels"), n_frames),
        n_parts=found.whole("n_parts", lowest=1) if "n_parts" in found else 1,
    )


def _checked(text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"an estimate is JSON as to_json() writes it; this is none: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ParameterError(f"an estimate is a JSON object with 'format': '{FORMAT}', as to_json() writes it.")
    if content.get("format_version") != FORMAT_VERSION:
        raise ParameterError(
            f"the estimate has format_version {content.get('format_version')!r}; this version of flimage_dask "
            f"reads {FORMAT_VERSION}."
        )
    return content


def _one_of(expected: Sequence[str], found: CheckedObject, key: str) -> str:
    value = found.text(key)
    if value not in expected:
        raise found.refusal(key, f"one of {', '.join(map(repr, expected))}")
    return value


def _correction(found: CheckedObject) -> str:
    """Return what is done to the frames, which parts that are joined may have several of."""
    text = found.text("correction")
    if not set(text.split(", ")) <= set(CORRECTIONS):
        raise found.refusal("correction", f"one of {', '.join(map(repr, CORRECTIONS))}")
    return text


def _by_name(found: CheckedObject) -> dict[str, Any]:
    """Return what is known of each parameter of the curve."""
    parameters, errors = found.numbers("parameters"), found.numbers("standard_errors")
    units = found.texts("units")
    for key, names in {"standard_errors": set(errors), "units": set(units)}.items():
        if names != set(parameters):
            raise found.refusal(key, f"the names of the parameters, {', '.join(parameters) or 'none'}")
    return {"parameters": parameters, "standard_errors": errors, "units": units}


def _background(found: CheckedObject) -> float | NDArray[np.float64]:
    values = found.content.get("backgrounds")
    if not isinstance(values, list):
        number = found.number("backgrounds")
        if np.isnan(number):
            raise found.refusal("backgrounds", "a number, a list with one a frame, or an image")
        return number
    return found.image("backgrounds") if values and isinstance(values[0], list) else found.array("backgrounds")


def _key_by_key(content: Mapping[str, Any], indent: str = "") -> str:
    """Write an object with a line for each key, which can be read, and is made of one array after the other."""
    inner = f"{indent}  "
    lines = [f"{inner}{json.dumps(key)}: {_value(value, inner)}" for key, value in content.items()]
    return "\n".join(["{", ",\n".join(lines), f"{indent}}}"]) if lines else "{}"


def _value(value: Any, indent: str) -> str:
    if isinstance(value, Mapping):
        return _key_by_key(value, indent)
    return json.dumps(_listed(value) if isinstance(value, np.ndarray) else value, default=as_python, allow_nan=False)


def _listed_pixels(pixels: PixelCounts | None) -> Any:
    if pixels is None:
        return None
    lists = {name: getattr(pixels, name).tolist() for name in ("n_finite", "n_saturated")}
    return {"n_pixels": pixels.n_pixels, "saturation": pixels.saturation, **lists}


def _pixels(found: CheckedObject, n_frames: int) -> PixelCounts:
    n_pixels = found.whole("n_pixels", lowest=1)
    lists = {name: found.counts(name, most=n_pixels) for name in ("n_finite", "n_saturated")}
    for name, values in lists.items():
        if len(values) != n_frames:
            raise found.refusal(name, f"{n_frames} numbers, one a frame")
    saturation = None if found.is_null("saturation") else found.number("saturation")
    return PixelCounts(n_pixels, saturation=saturation, **lists)


def _listed(values: NDArray[np.float64]) -> Any:
    """Turn an array into lists, with None for what is not finite."""
    listed = values.astype(object)
    listed[~np.isfinite(values)] = None
    return listed.tolist()
