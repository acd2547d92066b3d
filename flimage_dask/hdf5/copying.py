"""Copy an image between files: stored bytes as they are, newly stored between disk and memory.

A copy holds all of its pixels. What the image finds through a soft or an external link, in a virtual dataset or in
external storage, HDF5 would look for beside the copy, where other files may have these names.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
from h5py import h5d, h5l, h5o, h5p

from ..errors import FileError
from .changes import IMAGES, note_change
from .files import check_writable, noticing_damage
from .layout import BACKGROUNDS, is_in_memory, path_of, read_attributes, where, write_attributes, write_image
from .local import is_file_of
from .output import check_output, explaining_write_errors, open_output
from .pixels import holds_its_pixels, read_pixels

# What HDF5 says of a disk that takes no more.
_OF_WRITING = re.compile("file write failed|unable to extend file", re.IGNORECASE)

# HDF5 copies what soft and external links lead to.
_EXPANDING_LINKS = h5p.create(h5p.OBJECT_COPY)
_EXPANDING_LINKS.set_copy_object(h5o.COPY_EXPAND_SOFT_LINK_FLAG | h5o.COPY_EXPAND_EXT_LINK_FLAG)


def copy_image(source: h5py.Group, target: h5py.Group) -> None:
    """Copy everything below an image into an open group, replacing things of the same names."""
    check_writable(target)
    with _telling_damage_from_full_disk(source, target):
        _copy_items(source, target)
    note_change(target, IMAGES)


def _copy_items(source: h5py.Group, target: h5py.Group) -> None:
    for key, item in source.items():
        if item is None:
            raise _leads_nowhere(key, source)
        if key in target:
            del target[key]
        if isinstance(item, h5py.Group):
            _copy_items(item, target.create_group(key))
        elif is_in_memory(source) == is_in_memory(target) and holds_its_pixels(item.id):
            source.copy(item, target, key)
        else:
            copy_dataset(item, target, key)
    write_attributes(target, read_attributes(source))


def copy_image_as(source: h5py.Group, parent: h5py.Group, name: str) -> h5py.Group:
    """Copy an image into a new group."""
    if is_in_memory(source) != is_in_memory(parent):
        group = parent.create_group(name)
        copy_image(source, group)
        return group
    with _telling_damage_from_full_disk(source, parent):
        # One call, several times as fast as copying object by object.
        h5o.copy(source.id, b".", parent.id, name.encode(), _EXPANDING_LINKS)
        copied = parent[name]
        _bring_pixels(source, copied)
    return copied


def copy_image_to_file(source: h5py.Group, path: str | bytes | os.PathLike[str]) -> None:
    """Copy an image into a file of its own, which replaces one of that name when it is whole."""
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if is_file_of(Path(path), source):
        raise FileError(f"'{path}' is the file of the image itself: copy it to another one.")
    check_output(path, None, overwrite=True)
    with open_output(path, overwrite=True) as group:
        copy_image(source, group)


def link_backgrounds(source: h5py.Group, target: h5py.Group) -> None:
    """Let an image share the background images of another one in the same file."""
    target.pop(BACKGROUNDS, None)
    shared = target.create_group(BACKGROUNDS)
    for kind, image in source.get(BACKGROUNDS, {}).items():
        shared[kind] = image
    note_change(target, IMAGES)


def copy_dataset(dataset: h5py.Dataset, target: h5py.Group, key: str) -> None:
    """Store an image anew, as its new place demands."""
    copied = write_image(target, key, read_pixels(dataset), dataset.dtype)
    write_attributes(copied, read_attributes(dataset))


def _bring_pixels(source: h5py.Group, copied: h5py.Group) -> None:
    """Store anew what the copy of an image has elsewhere."""
    kinds: dict[str, int] = {}
    copied.id.links.visit(lambda name, link: kinds.update({name.decode(): link.type}), info=True)
    for name, kind in kinds.items():
        # Links that lead somewhere have been expanded.
        if kind != h5l.TYPE_HARD:
            raise _leads_nowhere(name, source)
        item = h5o.open(copied.id, name.encode())
        if isinstance(item, h5d.DatasetID) and not holds_its_pixels(item):
            path, _, key = name.rpartition("/")
            copy_dataset(source[name], copied[path or "."], key)


@contextmanager
def _telling_damage_from_full_disk(source: h5py.Group, target: h5py.Group) -> Iterator[None]:
    """Tell by HDF5's errors whether the image is damaged, or there is no room for its copy."""
    with noticing_damage(source):
        try:
            yield
        except (OSError, RuntimeError) as error:
            path = path_of(target)
            if path is None or not _OF_WRITING.search(str(error)):
                raise
            with explaining_write_errors(path.parent):
                raise


def _leads_nowhere(name: str, source: h5py.Group) -> FileError:
    return FileError(f"'{name}' of {where(source)} is a link that leads nowhere: remove it, or bring its target.")
