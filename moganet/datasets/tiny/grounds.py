"""Grounds: crops of the photographs, each from the half that belongs to its split."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from moganet.datasets.tiny.sources import PHOTOGRAPHS, Box, Sources, Split

DIM, DARK = (0.35, 0.85), (0.2, 0.5)  # shares of a photograph's brightness that are left
MIN_CROP = 96  # pixels of the photograph along the side of the smallest crop


@dataclass(frozen=True)
class Ground:
    """A square crop of a photograph, resized and with its colours changed.

    Attributes:
        image: (size, size, 3) RGB uint8.
        photograph: the path of the photograph, as in PHOTOGRAPHS.
        box: the crop, in pixels of the photograph.
    """

    image: NDArray[np.uint8]
    photograph: str
    box: Box


def draw_ground(
    rng: np.random.Generator,
    sources: Sources,
    split: Split,
    size: int,
    brightness: tuple[float, float] = DIM,
    for_people: bool = False,
) -> Ground:
    """Take a random crop of a random photograph.

    Args:
        rng: decides the photograph, the crop, its flip and quarter turns, and the change of colour.
        sources: the photographs.
        split: whose halves may be used.
        size: side of the result in pixels.
        brightness: range of the share of its brightness that the photograph keeps, so that what lies on it stands out.
        for_people: leave out photographs on which a person is seen, and keep the others upright.
    """
    choices = [photo for photo in PHOTOGRAPHS if not (for_people and photo.people)]
    photo = choices[int(rng.integers(len(choices)))]
    whole = sources.photographs[photo.path]
    half = photo.half(split, whole.shape[0], whole.shape[1])
    longest = min(half.w, half.h)
    side = min(longest, round(float(np.exp(rng.uniform(np.log(MIN_CROP), np.log(longest))))))
    x = half.x + int(rng.integers(half.w - side + 1))
    y = half.y + int(rng.integers(half.h - side + 1))
    crop = whole[y : y + side, x : x + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if not for_people:
        crop = np.rot90(crop, int(rng.integers(4)))
    interpolation = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=interpolation)
    return Ground(_jitter(rng, resized, brightness), photo.path, Box(x, y, side, side))


def _jitter(
    rng: np.random.Generator, image: NDArray[np.uint8], brightness: tuple[float, float]
) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and tint at random; the tint also gives the grey photographs a colour."""
    pixels = image.astype(np.float32)
    grey = pixels @ np.full((3, 1), 1 / 3, dtype=np.float32)
    pixels = grey + (pixels - grey) * np.float32(rng.uniform(0.5, 1.3))
    mean = pixels.mean()
    pixels = mean + (pixels - mean) * np.float32(rng.uniform(0.6, 1.1))
    pixels *= rng.uniform(0.85, 1.15, size=3).astype(np.float32) * np.float32(rng.uniform(*brightness))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
