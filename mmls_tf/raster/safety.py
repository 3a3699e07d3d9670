"""What is looked at before any library opens a file: is it a plain local file, of a size that can be meant?"""

from __future__ import annotations

import os
import stat

from mmls_tf.raster.raster import RasterError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_ROOM_BYTES = 16 << 20  # metadata, overviews, georeference: generous, and still nothing to fill a memory with
_BYTES_A_PIXEL = 8  # the widest numbers, stored uncompressed
_LARGEST_SIDE = 32_768  # of a tile; a larger --tile_size changes no bound
_COPIES = 4  # TIFF blocks may be larger than the image and padded


def kind_of(mode: int) -> str:
    """Returns in words what a file is, by its `st_mode`: "a file", "a folder", "a named pipe"..."""
    return next((name for test, name in _KINDS if test(mode)), "a file")


def most_bytes(bands: int, size: int) -> int:
    """Returns the size in bytes above which a file of `bands` of `size` x `size` is not read at all."""
    return _ROOM_BYTES + _COPIES * _BYTES_A_PIXEL * bands * min(size, _LARGEST_SIDE) ** 2


def read_local(path: str | os.PathLike[str], most: int, expected: str) -> bytes:
    """Returns the content of a plain local file of at most `most` bytes.

    The file is opened first and looked at afterwards, so that it cannot change between the two, and without
    blocking, since opening a named pipe would wait for a writer for ever.

    Raises:
      RasterError: absent, empty, no plain file, too large, unreadable, or a name that GDAL would take for a
        network address.
    """
    name = os.fspath(path)
    if name.startswith("/vsi") or "://" in name:
        raise RasterError(path, f"{expected} in a local file", "a network or virtual path")
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RasterError(path, expected, "no such file") from error
    except OSError as error:
        raise RasterError(path, expected, f"a file that cannot be opened ({error.strerror})") from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise RasterError(path, f"{expected} in a plain file", kind_of(about.st_mode))
        if about.st_size > most:
            found = f"{about.st_size / 1e6:,.0f} MB"
            raise RasterError(path, f"{expected} in a file of at most {most / 1e6:,.0f} MB", found)
        with open(descriptor, "rb", closefd=False) as file:  # the file that was looked at
            content = file.read(about.st_size)
    finally:
        os.close(descriptor)
    if not content:
        raise RasterError(path, expected, "an empty file: damaged data")
    return content
