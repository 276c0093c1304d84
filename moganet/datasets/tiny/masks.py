"""Boxes and polygons of binary masks, exact to the pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int]


def box_of(mask: NDArray[np.bool_]) -> list[int]:
    """The tight box about a mask that is not empty, as COCO writes it: x, y, width, height."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]


def polygons_of(mask: NDArray[np.bool_]) -> list[list[int]]:
    """COCO polygons that rasterise to exactly this mask, one for each 4-connected region.

    They run along the borders between pixels. COCO joins the polygons of an object and knows no holes, so the outline
    of a hole is spliced into the outline around it by a bridge that is walked forth and back and thus encloses nothing.

    Args:
        mask: (H, W) bool.

    Returns:
        Flat lists x0, y0, x1, y1, ...; none for an empty mask.
    """
    if not mask.any():
        return []
    x, y, w, h = box_of(mask)
    count, regions = cv2.connectedComponents(mask[y : y + h, x : x + w].astype(np.uint8), connectivity=4)
    return [_polygon(np.asarray(regions == number), x, y) for number in range(1, count)]


def _polygon(region: NDArray[np.bool_], left: int, top: int) -> list[int]:
    loops = _outlines(region)
    anchor = loops[0][0]
    path: list[Point] = []
    for loop in loops:
        path += [*loop, loop[0]]
        if loop is not loops[0]:
            path.append(anchor)
    # The last point closes the polygon, which COCO does by itself.
    return [value for x, y in path[:-1] for value in (left + x, top + y)]


def _outlines(region: NDArray[np.bool_]) -> list[list[Point]]:
    """Every closed outline of a region, corner by corner, the region on the right hand; the outer one comes first."""
    left_over = _border_steps(region)
    loops = []
    while left_over:
        # The first corner in reading order belongs to the outer outline, as long as that is there.
        start = min(left_over, key=lambda point: (point[1], point[0]))
        loops.append(_walk(left_over, start))
    return loops


def _border_steps(region: NDArray[np.bool_]) -> dict[Point, list[Point]]:
    """Unit steps along the pixels' sides where the region ends: from a corner to the corners that follow it."""
    padded = np.pad(region, 1)
    inner = padded[1:-1, 1:-1]
    sides = (
        (inner & ~padded[:-2, 1:-1], (0, 0), (1, 0)),  # above: walk to the right
        (inner & ~padded[1:-1, 2:], (1, 0), (1, 1)),  # right: walk down
        (inner & ~padded[2:, 1:-1], (1, 1), (0, 1)),  # below: walk to the left
        (inner & ~padded[1:-1, :-2], (0, 1), (0, 0)),  # left: walk up
    )
    steps: dict[Point, list[Point]] = {}
    for open_side, start, stop in sides:
        for y, x in np.argwhere(open_side).tolist():
            steps.setdefault((x + start[0], y + start[1]), []).append((x + stop[0], y + stop[1]))
    return steps


def _walk(steps: dict[Point, list[Point]], start: Point) -> list[Point]:
    """Take the steps of one closed outline out of `steps`, and return the corners at which it turns."""
    corners: list[Point] = []
    here, heading = start, (0, 0)
    while True:
        options = steps[here]
        # Where two pixels touch by a corner only, turning right keeps to the pixel at hand.
        right = (here[0] - heading[1], here[1] + heading[0])
        there = right if right in options else options[0]
        options.remove(there)
        if not options:
            del steps[here]
        new_heading = (there[0] - here[0], there[1] - here[1])
        if new_heading != heading:
            corners.append(here)
        here, heading = there, new_heading
        # An outline that touches itself at its start comes out as two; that encloses the same pixels.
        if here == start:
            return corners
