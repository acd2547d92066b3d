"""The pixels of one image: raw data, the background images that belong to it, and their difference."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .correction.background import border_mask
from .correction.pixel_type import contiguous, in_type
from .correction.profiles import Profile
from .errors import FrameDataError, ImageMissingError, ParameterError
from .hdf5.changes import IMAGES, note_change
from .hdf5.files import check_writable, noticing_damage, subgroup
from .hdf5.image_layout import flaw_of
from .hdf5.layout import read_attributes, where, write_image
from .hdf5.pixels import image_name, read_pixels
from .notices import ClippingWarning, warn

#: What can be set as a background: a number for all pixels, an image, a dataset (in the same file
#: it is shared by a hard link), or None to remove it.
BackgroundData: TypeAlias = float | ArrayLike | h5py.Dataset | None

#: The kinds of background images, which are added up: measured, and fitted.
BACKGROUND_KINDS = ("data", "fit")

# Where qpimage keeps the mask that a background was fitted in.
_FIT_MASK = "estimate_bg_from_mask"


class Fluorescence:
    """The images in the HDF5 group ``fluorescence``.

    Parameters
    ----------
    h5
        The group.
    h5dtype
        Type in which raw images are stored; see `FLImage`.
    """

    def __init__(self, h5: h5py.Group, h5dtype: DTypeLike = "float32") -> None:
        self.h5 = h5
        self.h5dtype = np.dtype(h5dtype)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"Fluorescence image, {height}x{width}px"

    @property
    def raw(self) -> NDArray[Any]:
        """Raw image (y, x), counts, as stored."""
        return read_pixels(self._dataset())

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width [px]."""
        height, width = self._dataset().shape
        return int(height), int(width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the raw image."""
        dtype: np.dtype[Any] = self._dataset().dtype
        return dtype

    @property
    def bg(self) -> NDArray[np.float64]:
        """Sum of the background images (y, x), counts; zeros without any."""
        return _total(self._backgrounds(), self.shape)

    @property
    def image(self) -> NDArray[np.float64]:
        """Background-corrected image (y, x), counts: ``raw - bg``."""
        return self.raw - self.bg

    @property
    def has_bg(self) -> bool:
        """Whether there is any background image."""
        return bool(self._backgrounds())

    @property
    def info(self) -> list[tuple[str, Any]]:
        """What is known about the background images, as (description, value)."""
        backgrounds = self._backgrounds()
        info = [
            (f"fluorescence background {name}", value)
            for kind in BACKGROUND_KINDS
            if kind in backgrounds
            for name, value in read_attributes(backgrounds[kind]).items()
        ]
        if "fit" in backgrounds:
            masks = (_FIT_MASK, "estimate_bg_from_binary")
            with noticing_damage(self.h5):
                info.append(("fluorescence background from mask", any(mask in self.h5 for mask in masks)))
        return info

    def set_raw(self, data: ArrayLike) -> None:
        """Store the raw image (y, x).

        Raises
        ------
        ParameterError
            (a ValueError) unless `data` is a two-dimensional image of real numbers.

        Warns
        -----
        ClippingWarning
            If pixels lie outside the range of the type.
        """
        check_writable(self.h5)
        image = _as_image(data)
        dtype = image.dtype if image.dtype == bool else self.h5dtype
        stored, n_clipped = contiguous(image, dtype) if dtype.kind == "f" else in_type(image, dtype)
        write_image(self.h5, "raw", stored, dtype)
        self.h5.require_group("bg_data")
        note_change(self.h5, IMAGES)
        # When the image is stored: warnings may be errors.
        if n_clipped:
            kept_by_all = (
                " and became infinite: h5dtype='float64' keeps all."
                if dtype.kind == "f"
                else ", or are NaN, and were clipped: h5dtype='float32' keeps all."
            )
            warn(f"{n_clipped:,} of {image.size:,} pixels lie outside {dtype}{kept_by_all}", ClippingWarning)

    def set_bg(self, bg: BackgroundData, key: str = "data", attrs: Mapping[str, Any] | None = None) -> None:
        """Set or remove one background image.

        Parameters
        ----------
        bg
            A number, an image (y, x) or a dataset [counts]; None removes it.
        key
            Its kind, "data" or "fit".
        attrs
            What is to be known about it.

        Raises
        ------
        ParameterError
            (a ValueError) for an unknown kind, or a shape that is not the raw image's.
        """
        _check_kind(key)
        self.check_bg(bg)
        holder = self.h5.require_group("bg_data")
        if bg is None:
            holder.pop(key, None)
        else:
            if isinstance(bg, h5py.Dataset) and bg.file == self.h5.file:
                holder.pop(key, None)
                holder[key] = bg
            else:
                image = read_pixels(bg) if isinstance(bg, h5py.Dataset) else np.asarray(bg)
                # Whatever the type of the raw image, a background has fractions and may be negative.
                dtype = np.result_type(self.h5dtype, np.float32)
                write_image(holder, key, _as_image(np.broadcast_to(image, self.shape)), dtype)
            for name, value in (attrs or {}).items():
                holder[key].attrs[name] = value
        note_change(self.h5, IMAGES)

    def check_bg(self, bg: BackgroundData) -> None:
        """Refuse what cannot be set as a background.

        Raises
        ------
        ParameterError
            (a ValueError) for a shape that is not the raw image's.
        FileError
            (an OSError) if the file is open read-only.
        """
        check_writable(self.h5)
        if bg is not None:
            self._check_shape(bg.shape if isinstance(bg, h5py.Dataset) else np.shape(bg))

    def fit_bg(
        self, profile: str, offset: str, border_px: int | None, from_mask: NDArray[Any] | None
    ) -> NDArray[np.bool_]:
        """Fit a background to what the measured one leaves, store it, and return the pixels (y, x) it was fitted to.

        Raises
        ------
        ParameterError
            (a ValueError) for an unknown profile, or a border or mask that does not fit it.
        """
        check_writable(self.h5)
        shape = self.shape
        mask = np.ones(shape, np.bool_) if border_px is None else border_mask(shape, border_px)
        if from_mask is not None:
            if from_mask.shape != shape or from_mask.dtype != np.bool_ or not (mask & from_mask).any():
                raise ParameterError(
                    f"from_mask has shape {from_mask.shape} and type {from_mask.dtype}: give an image {shape} of bool "
                    f"that marks at least one pixel{'' if border_px is None else ' of the border'}."
                )
            mask &= from_mask
        fit = Profile(profile, offset, mask).on(shape, 0)
        left = self.raw - _total({kind: bg for kind, bg in self._backgrounds().items() if kind != "fit"}, shape)
        (image,) = fit.images(left[np.newaxis])
        if not np.isfinite(image).all():
            raise ParameterError(f"{where(self.h5)} has too few finite pixels where it shows background.")
        self.set_bg(image, "fit", {"fit_offset": offset, "fit_profile": profile, "border_px": border_px or 0})
        self.h5.pop(_FIT_MASK, None)
        if from_mask is not None:
            write_image(self.h5, _FIT_MASK, from_mask, bool)
        return mask

    def _dataset(self) -> h5py.Dataset:
        if not self._holds("raw"):
            raise ImageMissingError(f"{where(self.h5)} holds no image yet: create it with FLImage(data=…).")
        return _open_image(self.h5, "raw")

    def _backgrounds(self) -> dict[str, h5py.Dataset]:
        if not self._holds("bg_data"):
            return {}
        holder = subgroup(self.h5, "bg_data")
        with noticing_damage(holder):
            kinds = list(holder)
        return {kind: _open_image(holder, kind) for kind in kinds}

    def _holds(self, name: str) -> bool:
        """Tell whether something has a name, be it damaged or a link that leads nowhere."""
        with noticing_damage(self.h5):
            return bool(self.h5.id.links.exists(name.encode()))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape not in ((), self.shape):
            raise ParameterError(
                f"the background has shape {shape}; the image has {self.shape}. Give a number or an image "
                f"of that shape."
            )


def _as_image(data: ArrayLike) -> NDArray[Any]:
    image = np.asarray(data)
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "fiub":
        raise ParameterError(
            f"expected an image (y, x) of real numbers, got an array of shape {image.shape} and type {image.dtype}."
        )
    return image


def _total(backgrounds: Mapping[str, h5py.Dataset], shape: tuple[int, int]) -> NDArray[np.float64]:
    total = np.zeros(shape)
    for dataset in backgrounds.values():
        if dataset.shape != shape:
            raise FrameDataError(
                f"{image_name(dataset)} has shape {dataset.shape}; the image has {shape}. Set another background with "
                f"set_bg_data(…)."
            )
        total += read_pixels(dataset)
    return total


def _check_kind(key: str) -> None:
    if key not in BACKGROUND_KINDS:
        raise ParameterError(f"unknown background {key!r}: give one of {', '.join(map(repr, BACKGROUND_KINDS))}.")


def _open_image(group: h5py.Group, name: str) -> h5py.Dataset:
    with noticing_damage(group):
        dataset = group[name]
        if not isinstance(dataset, h5py.Dataset):
            raise TypeError(f"'{name}' is not an image")
        flaw = flaw_of(dataset.id)
    if flaw is not None:
        raise FrameDataError(f"{image_name(dataset)} {flaw}")
    return dataset
