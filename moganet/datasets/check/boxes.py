"""What makes a box, as COCO files hold it, wrong."""

from __future__ import annotations

import math
from typing import Any

# Pixels. Coordinates are rounded when they are written, and some writers count a box's last pixel in.
TOLERANCE = 1.0


def box_problem(box: Any, width: float, height: float) -> str:
    """Return what is wrong with a box ``[x, y, width, height]`` on a picture of a size in pixels, or nothing."""
    problem = shape_problem(box)
    if problem:
        return problem
    x, y, w, h = box
    if x < -TOLERANCE or y < -TOLERANCE or x + w > width + TOLERANCE or y + h > height + TOLERANCE:
        verb = 'lies outside' if lies_outside(box, width, height) else 'leaves'
        return f'box {box!r}: {verb} its picture of {width} x {height}'
    return ''


def shape_problem(box: Any) -> str:
    """Return what is wrong with a box, wherever it lies, or nothing."""
    try:
        x, y, w, h = box
        finite = math.isfinite(x + y + w + h)
    except (TypeError, ValueError):
        return f'box {box!r}: four numbers needed, x, y, width and height'
    if not finite:
        return f'box {box!r}: a number is not finite'
    return f'box {box!r}: it has no area' if w <= 0 or h <= 0 else ''


def lies_outside(box: Any, width: float, height: float) -> bool:
    """Whether a box has no pixel in common with a picture."""
    x, y, w, h = box
    return bool(x >= width or y >= height or x + w <= 0 or y + h <= 0)
