"""Segmentation folders: a picture and a label map of the same name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .list_file import numbered_lines
from .pictures import READ_ERRORS, Looker, Picture, look_at, reason
from .report import Findings

_VALUES = 256  # mmseg reads label maps as bytes
_MOST = 1 << 16  # more are no classes at all, and would be counted in gigabytes
_SHOWN = 8


@dataclass(frozen=True)
class LabelMapSource:
    """Where pictures and label maps are, and what mmseg makes of the values of the maps.

    Attributes:
        folder, map_folder: of the pictures and of the label maps; without the latter there are no maps.
        suffix, map_suffix: ends of their names.
        ann_file: a list of the names without their ends; without one, the folder is listed.
        classes: the names; empty when the config does not say.
        reduce_zero_label: whether 0 means nothing, and the classes count from 1 in the files.
        label_map: numbers in the files to numbers of classes, after the reduction.
        ignore_index: the value that is no class.
        trained_on: whether a model is trained on it, for which maps are needed.
    """

    folder: str
    map_folder: str = ''
    suffix: str = '.jpg'
    map_suffix: str = '.png'
    ann_file: str = ''
    classes: Sequence[str] = ()
    reduce_zero_label: bool = False
    label_map: Mapping[int, int] | None = None
    ignore_index: int = 255
    trained_on: bool = False

    def class_of_value(self) -> NDArray[np.int64]:
        """Return what mmseg makes of each value of a label map, shape ``(256,)``."""
        table = np.arange(_VALUES)
        if self.reduce_zero_label:
            table = np.where((table == 0) | (table == 255), 255, table - 1)
        if self.label_map:
            table = np.array([self.label_map.get(int(value), int(value)) for value in table])
        return table


class _Pair(NamedTuple):
    """What a look at a picture and its map found; ``values`` are pixels by value of the map, None if it has a fault."""

    picture: Picture
    label_map: Picture
    values: NDArray[np.int64] | None


def check_label_maps(source: LabelMapSource, findings: Findings, looker: Looker) -> None:
    """Look at pictures and label maps; the maps are always decoded."""
    findings.classes = tuple(source.classes)
    names = list(_listed(source, findings) if source.ann_file else _names_below(source))
    findings.pictures = len(names)
    if not names:
        findings.fault('no-data', source.folder, None, f'no picture whose name ends in {source.suffix}{_ends(source)}')
    elif source.trained_on and not source.map_folder:
        told = 'no label maps to train on: data_prefix.seg_map_path names their folder'
        findings.fault('no-data', source.folder, None, told)
    if source.map_folder and not source.classes:
        findings.note('the config names no classes, so the values of the label maps are not compared with any')

    def look(name: str) -> _Pair:
        return _look_at_pair(name, source, looker.decode)

    table = source.class_of_value()
    for name, pair in zip(names, looker.each(look, names, f'{findings.place}: pictures and label maps')):
        _note(name, pair, source, table, findings)
    if source.map_folder and not source.ann_file and names:
        _spare_maps(names, source, findings)


def _look_at_pair(name: str, source: LabelMapSource, decode: bool) -> _Pair:
    picture = look_at(os.path.join(source.folder, name + source.suffix), decode)
    if not source.map_folder:
        return _Pair(picture, Picture(None), None)
    path = os.path.join(source.map_folder, name + source.map_suffix)
    label_map = look_at(path)
    if label_map.problem:
        return _Pair(picture, label_map, None)
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
    except READ_ERRORS as error:
        return _Pair(picture, Picture(label_map.size, 'unreadable', f'cannot be decoded: {reason(error)}'), None)
    if pixels.ndim != 2:
        told = f'a colour picture of {pixels.shape[2]} channels: a label map has one, with the number of a class'
        return _Pair(picture, Picture(label_map.size, 'bad-label', told), None)
    # As the map is loaded, which EXIF does not turn.
    label_map = Picture((pixels.shape[1], pixels.shape[0]))
    if not (pixels.min() >= 0 and pixels.max() < _MOST):  # so that NaN is told, too
        told = f'values from {pixels.min()} to {pixels.max()}: a label map has 0 to {_VALUES - 1}'
        return _Pair(picture, Picture(label_map.size, 'bad-label', told), None)
    values = pixels.ravel().astype(np.int64)
    if pixels.dtype.kind == 'f' and (values != pixels.ravel()).any():
        told = 'values that are no whole numbers: a label map has the number of a class'
        return _Pair(picture, Picture(label_map.size, 'bad-label', told), None)
    return _Pair(picture, label_map, np.bincount(values, minlength=_VALUES))


def _note(name: str, pair: _Pair, source: LabelMapSource, table: NDArray[np.int64], findings: Findings) -> None:
    path = os.path.join(source.folder, name + source.suffix)
    map_path = os.path.join(source.map_folder, name + source.map_suffix)
    if pair.picture.problem:
        findings.fault(pair.picture.kind, path, None, pair.picture.problem)
    if pair.label_map.problem:
        findings.fault(pair.label_map.kind, map_path, None, pair.label_map.problem)
    sizes = pair.picture.size, pair.label_map.size
    if sizes[0] and sizes[1] and sizes[0] != sizes[1]:
        told = f'{sizes[1][0]} x {sizes[1][1]} pixels, and its picture {sizes[0][0]} x {sizes[0][1]}'
        findings.fault('wrong-size', map_path, None, told)
    if pair.values is None:
        return
    findings.annotations += 1
    values = np.flatnonzero(pair.values)
    labels = table[values[values < _VALUES]]
    findings.per_class += Counter(set(labels.tolist()) - {source.ignore_index})
    findings.empty += bool((labels == source.ignore_index).all())
    if source.classes:
        wrong = [int(value) for value in values if not _is_class(int(value), source, table)]
        if wrong:
            findings.fault('bad-label', map_path, None, _told(wrong, pair.values, source))


def _is_class(value: int, source: LabelMapSource, table: NDArray[np.int64]) -> bool:
    if value >= _VALUES:
        return False
    label = int(table[value])
    return label < len(source.classes) or label == source.ignore_index


def _told(wrong: list[int], pixels: NDArray[np.int64], source: LabelMapSource) -> str:
    shown = ', '.join(map(str, wrong[:_SHOWN])) + (', ...' if len(wrong) > _SHOWN else '')
    count, first = len(source.classes), int(source.reduce_zero_label)
    allowed = f'{first} to {count - 1 + first}'
    nothing = '0 and 255' if source.reduce_zero_label else str(source.ignore_index)
    return (
        f'{int(pixels[wrong].sum()):,} pixels of value {shown}: {allowed} are the {count} classes '
        f'(reduce_zero_label={source.reduce_zero_label}), {nothing} is nothing'
    )


def _listed(source: LabelMapSource, findings: Findings) -> Iterator[str]:
    seen: dict[str, int] = {}
    for number, line in numbered_lines(source.ann_file, findings):
        name, id = line.strip(), f'line {number}'
        if not name:
            findings.fault('malformed', source.ann_file, id, 'an empty line is read as a picture without a name')
        elif name in seen:
            findings.fault('duplicate', source.ann_file, id, f'{name} is in line {seen[name]} too')
        else:
            seen[name] = number
            yield name


def _names_below(source: LabelMapSource, maps: bool = False) -> list[str]:
    """Return the names of all pictures, or maps, below their folder, without their ends."""
    folder, suffix = (source.map_folder, source.map_suffix) if maps else (source.folder, source.suffix)
    found = []
    for parent, _, files in os.walk(folder, followlinks=True):
        below = os.path.relpath(parent, folder)
        for name in files:
            if name.endswith(suffix) and not name.startswith('.'):
                found.append(os.path.normpath(os.path.join(below, name[: -len(suffix)])))
    return sorted(found)


def _spare_maps(names: list[str], source: LabelMapSource, findings: Findings) -> None:
    spare = sorted(set(_names_below(source, maps=True)) - set(names))
    if spare:
        first = spare[0] + source.map_suffix
        findings.note(f'label maps without a picture in {source.map_folder}: {len(spare):,}; the first is {first}')


def _ends(source: LabelMapSource) -> str:
    """Say how the names do end in a folder without a picture."""
    ends = Counter(Path(name).suffix for _, _, names in os.walk(source.folder) for name in names)
    told = ', '.join(f'{count:,} in {end or "no ending"}' for end, count in ends.most_common(3))
    return f'; the names there end: {told}' if told else '; the folder is empty'
