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
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..plain_json import as_python
from .estimate import ARRAYS, NO_BLEACHING, NOT_CORRECTED, BleachingEstimate
from .pixels import PixelCounts

FORMAT, FORMAT_VERSION = "flimage_dask bleaching estimate", 1


def as_json(estimate: BleachingEstimate) -> str:
    """Write an estimate as one JSON object; for the keys see above."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **estimate.summary(),
        "backgrounds": _listed(np.asarray(estimate.background, np.float64)),
        "left_out": list(estimate.left_out),
        "pixels": _listed_pixels(estimate.pixels),
        "arrays": {name: _listed(getattr(estimate, name)) for name in ARRAYS},
    }
    return json.dumps(content, indent=2, default=as_python, allow_nan=False)


def from_json(text: str) -> BleachingEstimate:
    """Read an estimate that was written as JSON.

    Raises
    ------
    ParameterError
        (a ValueError) if the text is no such object, or a key is missing or of the wrong kind.
    """
    content = _checked(text)
    try:
        status, arrays = str(content["status"]), content["arrays"]
        estimate = BleachingEstimate(
            model=str(content["model"]),
            requested=str(content["requested"]),
            formula=str(content["formula"]),
            status=status,
            background=_background(content["backgrounds"]),
            border_px=content["border_px"],
            times=_array(arrays["times"]),
            trace=_array(arrays["trace"]),
            decay=_array(arrays["decay"]),
            decay_errors=_array(arrays["decay_errors"]),
            factors=_array(arrays["factors"]),
            factor_errors=_array(arrays["factor_errors"]),
            shifts=_array(arrays["shifts"]),
            parameters=_numbers(content["parameters"]),
            standard_errors=_numbers(content["standard_errors"]),
            units={name: str(unit) for name, unit in content["units"].items()},
            half_life=_number(
                content["half_life"], missing=np.inf if status in (NO_BLEACHING, NOT_CORRECTED) else np.nan
            ),
            r2=_number(content["r2"]),
            rmse=_number(content["rmse"]),
            aicc=_numbers(content["aicc"], missing=np.inf),
            left_out=_positions(content["left_out"]),
            excluded=_positions(content["excluded"]),
            outliers=_positions(content["outliers"]),
            correction=str(content["correction"]),
            robust=bool(content["robust"]),
            warnings=tuple(map(str, content["warnings"])),
            n_effective=_number(content["n_effective"]),
            neighbour_correlation=_number(content["neighbour_correlation"]),
            trace_kind=str(content["trace_kind"]),
            prepared=str(content.get("prepared", "")),
            pixels=_pixels(content["pixels"]),
            n_parts=int(content.get("n_parts", 1)),
        )
    except KeyError as error:
        raise ParameterError(f"the estimate has no {error}: write it again with to_json().") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ParameterError(f"the estimate holds something unexpected: {error}.") from error
    lengths = {name: len(getattr(estimate, name)) for name in ARRAYS}
    if len(set(lengths.values())) != 1:
        raise ParameterError(f"the arrays of the estimate differ in length: {lengths}.")
    return estimate


def _checked(text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ParameterError(f"an estimate is JSON as to_json() writes it; this is none: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ParameterError(f"an estimate is a JSON object with 'format': '{FORMAT}', as to_json() writes it.")
    if content.get("format_version") != FORMAT_VERSION:
        raise ParameterError(
            f"the estimate has format_version {content.get('format_version')!r}; this version of flimage_dask "
            f"reads {FORMAT_VERSION}."
        )
    return content


def _background(values: Any) -> float | NDArray[np.float64]:
    if not isinstance(values, list):
        return _number(values)
    return _array(values, ndim=2 if values and isinstance(values[0], list) else 1)


def _listed_pixels(pixels: PixelCounts | None) -> Any:
    if pixels is None:
        return None
    lists = {name: getattr(pixels, name).tolist() for name in ("n_finite", "n_saturated")}
    return {"n_pixels": pixels.n_pixels, "saturation": pixels.saturation, **lists}


def _pixels(content: Any) -> PixelCounts | None:
    if content is None:
        return None
    n_finite, n_saturated = (np.array(content[name], np.int64) for name in ("n_finite", "n_saturated"))
    return PixelCounts(int(content["n_pixels"]), n_finite, n_saturated, content["saturation"])


def _listed(values: NDArray[np.float64]) -> Any:
    """Turn an array into lists, with None for what is not finite."""
    listed = values.astype(object)
    listed[~np.isfinite(values)] = None
    return listed.tolist()


def _array(values: Any, ndim: int = 1) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)  # None becomes NaN
    if array.ndim != ndim:
        raise ValueError(f"an array of {array.ndim} dimensions where {ndim} are expected")
    return array


def _positions(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _number(value: Any, missing: float = np.nan) -> float:
    return missing if value is None else float(value)


def _numbers(values: Mapping[str, Any], missing: float = np.nan) -> dict[str, float]:
    return {str(name): _number(value, missing) for name, value in values.items()}
