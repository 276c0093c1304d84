"""Whether picture files are whole: by their heads and tails, which is cheap, or by decoding them."""

from __future__ import annotations

import functools
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from PIL import Image, UnidentifiedImageError

from .progress import progress
from .report import Findings

# What a whole file ends with, by the format that its head shows; MPO is a JPEG with more pictures behind the first.
_ENDS = {'JPEG': (b'\xff\xd9', 'end-of-image mark'), 'PNG': (b'IEND\xaeB`\x82', 'IEND chunk')}
_ENDS['MPO'] = _ENDS['JPEG']
# Some writers put a few bytes behind the end. Where it is not within these, the whole file is searched.
_TAIL = 4096
_ORIENTATION = 0x0112  # EXIF
# By OpenCV; TIFF is turned by Pillow, too.
_TURNED = ('JPEG', 'MPO', 'PNG')
_OTHER_SUFFIXES = ('.jpg', '.jpeg', '.png', '.JPG', '.JPEG', '.PNG', '.bmp', '.tif', '.webp')
_CHUNK = 1024  # files given to the threads at a time: a list of a million futures would take a gigabyte

# What Pillow raises for damage of every sort.
READ_ERRORS = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)

Item = TypeVar('Item')
Result = TypeVar('Result')


class Picture(NamedTuple):
    """What a look at one file found; ``kind`` and ``problem`` are empty when it is whole."""

    size: tuple[int, int] | None  # width and height, pixels, as the toolboxes' loaders see it
    kind: str = ''
    problem: str = ''


@dataclass(frozen=True)
class Looker:
    """How pictures are looked at.

    Args:
        decode: decode each fully, which finds damage between head and tail.
        workers: threads that read; decoding and waiting for a disk go on beside each other.
    """

    decode: bool = False
    workers: int = 1

    def pictures(self, paths: Sequence[str], what: str) -> Iterator[Picture]:
        """Yield what each file is, in the order of ``paths``."""
        return self.each(lambda path: look_at(path, self.decode), paths, what)

    def each(self, function: Callable[[Item], Result], items: Sequence[Item], what: str) -> Iterator[Result]:
        """Yield the function's value for each item, in order, computed by the threads."""
        return progress(self._each(function, items), len(items), what)

    def _each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        if self.workers == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            for start in range(0, len(items), _CHUNK):
                yield from pool.map(function, items[start : start + _CHUNK])


def look_at(path: str, decode: bool = False) -> Picture:
    """Look at one picture file: is it there, is its head valid, does it end as its format does."""
    try:
        with open(path, 'rb') as file, warnings.catch_warnings():
            # Large pictures and odd EXIF data are the loaders' concern.
            warnings.simplefilter('ignore')
            return _look_into(file, decode)
    except FileNotFoundError:
        return Picture(None, 'missing-file', _absent(path))
    except READ_ERRORS as error:
        return Picture(None, 'unreadable', f'cannot be read: {reason(error)}')


def _look_into(file: BinaryIO, decode: bool) -> Picture:
    if os.fstat(file.fileno()).st_size == 0:
        return Picture(None, 'unreadable', 'empty file')
    try:
        image = Image.open(file)
    except UnidentifiedImageError:
        return Picture(None, 'unreadable', 'its head is that of no picture')
    start = file.tell()  # a thumbnail in the head has an end of its own
    size = _turned(image)
    if decode:
        image.load()
    end, name = _ENDS.get(image.format or '', (b'', ''))
    if end and not _ends_with(file, start, end):
        return Picture(size, 'unreadable', f'torn: the {name} is missing')
    return Picture(size)


def _turned(image: Image.Image) -> tuple[int, int]:
    """Return the size after the turn that EXIF asks for, which OpenCV does when it loads a picture."""
    width, height = image.size
    turned = image.format in _TURNED or (image.format == 'WEBP' and _turns_webp())
    if not turned or 'exif' not in image.info:
        return width, height
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, struct.error, KeyError):
        return width, height
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


@functools.cache
def _turns_webp() -> bool:
    """Whether the OpenCV that is here turns WebP, too: 5.0 was seen to, 4.11 not."""
    import cv2

    return int(cv2.__version__.split('.')[0]) >= 5


def _ends_with(file: BinaryIO, start: int, end: bytes) -> bool:
    size = file.seek(0, os.SEEK_END)
    for reach in (_TAIL, size):
        file.seek(max(start, size - reach))
        if end in file.read():
            return True
    return False


def _absent(path: str) -> str:
    if os.path.islink(path):
        return f'a link to {os.readlink(path)}, which is not there'
    return f'not there{_other_suffix(path)}'


def _other_suffix(path: str) -> str:
    stem = Path(path).with_suffix('')
    found = next((name for name in _OTHER_SUFFIXES if Path(f'{stem}{name}').is_file()), '')
    return f'; {stem.name}{found} is' if found else ''


def reason(error: BaseException) -> str:
    """Return what an error of a file says, without the file's name."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__


def check_pictures(
    findings: Findings,
    looker: Looker,
    paths: Sequence[str],
    ids: Sequence[object] | None = None,
    sizes: Sequence[tuple[int, int] | None] | None = None,
) -> None:
    """Look at the pictures of a data set and note the faults.

    Args:
        findings: where faults go.
        looker: how to look.
        paths: the files.
        ids: what each is called in an annotation file.
        sizes: width and height that the annotations say, None where they say nothing.
    """
    what = f'{findings.place}: pictures'
    for index, (path, picture) in enumerate(zip(paths, looker.pictures(paths, what))):
        id = ids[index] if ids else None
        said = sizes[index] if sizes else None
        if picture.problem:
            findings.fault(picture.kind, path, id, picture.problem)
        if picture.size and said and picture.size != said:
            told = f'{picture.size[0]} x {picture.size[1]} pixels, and {said[0]} x {said[1]} in the annotations'
            if picture.size == said[::-1]:
                told += '; one of them is turned by 90 degrees'
            findings.fault('wrong-size', path, id, told)
