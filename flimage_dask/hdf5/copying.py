"""Copy an image between files: stored bytes as they are, newly stored between disk and memory."""

import os
from pathlib import Path

import h5py
from h5py import h5o

from ..errors import FileError
from .changes import IMAGES, note_change
from .files import check_writable
from .layout import BACKGROUNDS, is_in_memory, read_attributes, where, write_attributes, write_image
from .local import is_file_of
from .output import check_output, open_output
from .pixels import read_pixels


def copy_image(source: h5py.Group, target: h5py.Group) -> None:
    """Copy everything below an image into an open group, replacing things of the same names."""
    check_writable(target)
    for key, item in source.items():
        if item is None:
            raise FileError(f"'{key}' of {where(source)} is a link that leads nowhere: remove it, or bring its target.")
        if key in target:
            del target[key]
        if isinstance(item, h5py.Group):
            copy_image(item, target.create_group(key))
        elif is_in_memory(source) == is_in_memory(target):
            source.copy(item, target, key)
        else:
            copy_dataset(item, target, key)
    write_attributes(target, read_attributes(source))
    note_change(target, IMAGES)


def copy_image_as(source: h5py.Group, parent: h5py.Group, name: str) -> h5py.Group:
    """Copy an image into a new group."""
    if is_in_memory(source) == is_in_memory(parent):
        h5o.copy(source.id, b".", parent.id, name.encode())
        return parent[name]
    group = parent.create_group(name)
    copy_image(source, group)
    return group


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
