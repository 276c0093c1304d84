"""What makes the outline of an object, as COCO files hold it, malformed: polygons and run-length codes."""

from __future__ import annotations

import math
from typing import Any

from .boxes import TOLERANCE

_MIN_NUMBERS = 6  # three corners
# One character of a compressed run-length code carries five bits of a number and one that says that more follow.
_OFFSET, _BITS, _MORE, _SIGN = 48, 5, 0x20, 0x10


def mask_problem(segmentation: Any, width: float, height: float) -> str:
    """Return what is wrong with an annotation's ``segmentation``, or nothing.

    Args:
        segmentation: a list of polygons ``[x, y, x, y, ...]``, or ``{'size': [height, width], 'counts': ...}``.
        width, height: size of the picture, pixels.
    """
    if isinstance(segmentation, list):
        for polygon in segmentation:
            problem = _polygon_problem(polygon, width, height)
            if problem:
                return problem
        return ''
    if isinstance(segmentation, dict):
        return _code_problem(segmentation, width, height)
    return f'segmentation of type {type(segmentation).__name__}: a list of polygons or a run-length code needed'


def _polygon_problem(polygon: Any, width: float, height: float) -> str:
    if not isinstance(polygon, list):
        return 'a polygon is no list: segmentation is a list of lists of numbers'
    count = len(polygon)
    if count < _MIN_NUMBERS or count % 2:
        return f'a polygon of {count} numbers: an even count of at least {_MIN_NUMBERS} needed'
    xs, ys = polygon[0::2], polygon[1::2]
    try:
        left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
        finite = math.isfinite(sum(polygon))
    except TypeError:
        return 'a polygon holds what is no number'
    if not finite:
        return 'a polygon holds a number that is not finite'
    if left < -TOLERANCE or top < -TOLERANCE or right > width + TOLERANCE or bottom > height + TOLERANCE:
        return f'a polygon from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) leaves its picture of {width} x {height}'
    return ''


def _code_problem(code: dict[str, Any], width: float, height: float) -> str:
    size, counts = code.get('size'), code.get('counts')
    if size != [height, width]:
        return f'run-length code of size {size}: [{height}, {width}], height and width of the picture, needed'
    if isinstance(counts, str):
        try:
            counts = decode_counts(counts)
        except ValueError as error:
            return str(error)
    if not isinstance(counts, list) or not all(isinstance(run, int) and run >= 0 for run in counts):
        return 'run-length code whose counts are no list of whole numbers of at least 0, nor a string'
    if sum(counts) != width * height:
        return f'run-length code of {sum(counts):,} pixels: {width * height:,} needed'
    return ''


def decode_counts(text: str) -> list[int]:
    """Return the runs of a compressed run-length code.

    pycocotools writes past its memory for some codes that are wrong, so it is not asked. From the third run on, what is
    coded is the difference to the run two places before.

    Raises:
        ValueError: the text holds a character that no code has, or ends within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _OFFSET
        if not 0 <= bits < 64:
            raise ValueError(f'run-length code with a character {character!r} that none has')
        value |= (bits & 0x1F) << shift
        shift += _BITS
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError('run-length code that ends within a number')
    return runs
