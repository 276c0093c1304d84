"""Draws rounded, shaded bodies with smooth borders, and a map that tells which part is uppermost where."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_FINE = 3  # everything is drawn this many times larger, then reduced: smooth borders
_SHIFT = 4  # bits behind the point in the coordinates that OpenCV takes
_CIRCLE = np.stack([np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], axis=1)
# Of a rounded body, from the outside in: factor on the radii, what is added to them, brightness.
_LAYERS = ((1.0, 0.007, 0.25), (1.0, 0.0, 0.78), (0.78, 0.0, 0.92), (0.45, 0.0, 1.06))

Vector = NDArray[np.float64]
Colour = NDArray[np.float64]
Disc = tuple[Vector, float]  # a middle in pixels, and a radius in units of the brush


class Brush:
    """A fine canvas, empty at first, with a part map.

    Args:
        size: side of the picture, pixels.
        unit: pixels in the unit of the radii.
        parts: names of the parts; on the part map the first is 1, and 0 is what lies behind.
    """

    def __init__(self, size: int, unit: float, parts: Sequence[str]) -> None:
        self.size = size
        self.unit = unit
        self.parts_of = {name: number for number, name in enumerate(parts, start=1)}
        self.canvas = np.zeros((size * _FINE, size * _FINE, 3), dtype=np.uint8)
        self.parts = np.zeros((size * _FINE, size * _FINE), dtype=np.uint8)

    def fill(self, part: str, discs: Sequence[Disc], colour: Colour) -> None:
        """Fill the hull of some discs as a rounded body: a dark outline, then layers that get lighter inwards."""
        hulls = self._hulls(discs, _LAYERS)
        cv2.fillConvexPoly(self.parts, hulls[0], self.parts_of[part], cv2.LINE_8, _SHIFT)
        for hull, (_, _, brightness) in zip(hulls, _LAYERS, strict=True):
            cv2.fillConvexPoly(self.canvas, hull, _tone(colour, brightness), cv2.LINE_8, _SHIFT)

    def touch(self, discs: Sequence[Disc], colour: Colour) -> None:
        """Fill the hull of some discs in one tone, as a detail of whatever part is below."""
        hull = self._hulls(discs, ((1.0, 0.0, 1.0),))[0]
        cv2.fillConvexPoly(self.canvas, hull, _tone(colour, 1), cv2.LINE_8, _SHIFT)

    def _hulls(self, discs: Sequence[Disc], layers: Sequence[tuple[float, float, float]]) -> list[NDArray[np.int32]]:
        """For each layer the hull of the discs with their radii changed, in OpenCV's fixed-point numbers."""
        middles = np.array([middle for middle, _ in discs])[None, :, None]
        radii = np.array([radius for _, radius in discs])[None, :, None, None]
        factor, grow = (np.array(column)[:, None, None, None] for column in list(zip(*layers, strict=True))[:2])
        # The smaller a layer, the more it moves up and left, where the light comes from.
        points = middles + self.unit * ((factor - 1) * 0.25 * radii + (radii * factor + grow) * _CIRCLE)
        fine = np.rint(((points + 0.5) * _FINE - 0.5) * 2**_SHIFT).astype(np.int32)
        return [np.asarray(cv2.convexHull(layer.reshape(-1, 2)), dtype=np.int32) for layer in fine]

    def reduced(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The picture at its own size.

        Returns:
            (size, size, 4) uint8, RGB times coverage and the coverage; and the (size, size) part map, the uppermost
            part at each pixel's centre.
        """
        size = (self.size, self.size)
        colour = cv2.resize(self.canvas, size, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(np.minimum(self.parts, 1) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
        parts = self.parts[_FINE // 2 :: _FINE, _FINE // 2 :: _FINE].copy()
        return np.dstack([colour, cover]), parts


def _tone(colour: Colour, brightness: float) -> tuple[float, float, float]:
    red, green, blue = colour.tolist()
    return min(red * brightness, 255.0), min(green * brightness, 255.0), min(blue * brightness, 255.0)
