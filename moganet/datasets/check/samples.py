"""A data set of a kind that nothing here knows: its samples, as it gives them itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from .boxes import box_problem
from .pictures import Looker, check_pictures
from .progress import progress
from .report import Findings

_PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')


def check_samples(dataset: Any, findings: Findings, looker: Looker) -> None:
    """Look at the files and labels of each sample of a built data set, through its ``get_data_info``.

    What the data set drops while it reads is not seen.
    """
    classes = dataset.metainfo.get('classes') or ()
    findings.classes = tuple(classes) if isinstance(classes, (list, tuple)) else ()
    files: dict[str, tuple[str, tuple[int, int] | None]] = {}
    in_memory = 0
    for index in progress(range(len(dataset)), len(dataset), f'{findings.place}: samples'):
        try:
            info = dataset.get_data_info(index)
        except Exception as error:  # a foreign class may raise anything; the sample is what is wrong
            findings.fault('malformed', findings.what, f'sample {index}', f'{type(error).__name__}: {error}')
            continue
        found = list(_files(info))
        in_memory += not found
        for key, path in found:
            files.setdefault(path, (f'sample {index}', _size(info) if key.startswith('img') else None))
        _labels(info, index, findings)
    findings.pictures = len(files)
    if in_memory:
        findings.note(f'samples that name no file, held in memory and not looked at: {in_memory:,}')
    if not len(dataset):
        findings.fault('no-data', findings.what, None, 'the data set has no sample')
    paths = [path for path in files if path.lower().endswith(_PICTURES)]
    for path in files:
        if not path.lower().endswith(_PICTURES) and not os.path.isfile(path):
            findings.fault('missing-file', path, files[path][0], 'not there')
    check_pictures(findings, looker, paths, [files[path][0] for path in paths], [files[path][1] for path in paths])


def _files(info: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield key and path of each picture that a sample names."""
    for key, value in info.items():
        if key.endswith('_path') or '_path' in key and key[-1].isdigit():
            for path in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(path, str):
                    yield key, path


def _size(info: dict[str, Any]) -> tuple[int, int] | None:
    width, height = info.get('width'), info.get('height')
    return (int(width), int(height)) if width and height else None


def _labels(info: dict[str, Any], index: int, findings: Findings) -> None:
    """Look at what the toolboxes call a label or a box in a sample."""
    path = str(info.get('img_path') or findings.what)
    labels = info.get('gt_label', ())
    numbers = list(labels) if isinstance(labels, (list, tuple)) else [labels]
    size = _size(info)
    for instance in info.get('instances') or ():
        if 'bbox_label' in instance:
            numbers.append(instance['bbox_label'])
        box = instance.get('bbox')
        if box is not None and size and len(box) == 4:
            x1, y1, x2, y2 = box
            problem = box_problem([x1, y1, x2 - x1, y2 - y1], *size)
            if problem:
                findings.fault('bad-box', path, f'sample {index}', problem)
    for number in numbers:
        findings.annotations += 1
        if not isinstance(number, (int, np.integer)) or not findings.classes:
            continue
        if 0 <= number < len(findings.classes):
            findings.per_class[int(number)] += 1
        else:
            told = f'label {number}: 0 to {len(findings.classes) - 1} allowed'
            findings.fault('bad-label', path, f'sample {index}', told)
