"""Scenes: handwritten digits of random size, colour, rotation and overlap on a crop of a photograph."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moganet.datasets.tiny.digits import place_ink, smooth_ink
from moganet.datasets.tiny.grounds import DARK, Ground, draw_ground
from moganet.datasets.tiny.sources import Sources, Split

SCENE_SIZE = 128
MAX_HIDDEN = 0.4  # share of a digit's own pixels that later digits may cover
GROUND_LABEL = 11  # semantic label; a digit d has d + 1, and 0 (unlabelled in ADE20K) never occurs
_HEIGHTS = (28.0, 42.0)
_MAX_ANGLE = 12.0  # degrees: a six stays a six
_COUNTS = (6, 10)
_TRIES = 60
_OVERLAP_SHARE = 0.2  # of the digits may cover others, the rest keep clear of them
_EDGE, _CORE = 0.3, 0.48  # ink above the first is the digit's dark edge, above the second its coloured stroke
_MIN_CONTRAST = 150.0  # Euclidean distance in RGB between a stroke and the mean of what it covers


@dataclass
class PlacedDigit:
    """One digit of a scene.

    Attributes:
        source: index among scikit-learn's digits.
        label: 0 to 9.
        full: (128, 128) bool, every pixel of the digit.
        visible: the same less what later digits cover.
    """

    source: int
    label: int
    full: NDArray[np.bool_]
    visible: NDArray[np.bool_]

    @property
    def hidden_share(self) -> float:
        return 1 - float(self.visible.sum()) / float(self.full.sum())


@dataclass(frozen=True)
class Scene:
    """A picture, what was laid on it (the first lies lowest), and the crop below.

    Attributes:
        image: (128, 128, 3) RGB uint8.
        digits: the digits, of each of which at least 1 - MAX_HIDDEN can be seen.
        ground: the crop of a photograph.
    """

    image: NDArray[np.uint8]
    digits: list[PlacedDigit]
    ground: Ground

    def labels(self) -> NDArray[np.uint8]:
        """The semantic map: (128, 128) uint8, 1 to 10 for the digits zero to nine, 11 for the ground."""
        result = np.full(self.image.shape[:2], GROUND_LABEL, dtype=np.uint8)
        for digit in self.digits:
            result[digit.visible] = digit.label + 1
        return result


def compose_scene(rng: np.random.Generator, sources: Sources, split: Split) -> Scene:
    """Make one scene; everything about it follows from `rng`, the split and the sources."""
    ground = draw_ground(rng, sources, split, SCENE_SIZE, DARK)
    pixels = ground.image.astype(np.float32)
    digits: list[PlacedDigit] = []
    wanted = int(rng.integers(_COUNTS[0], _COUNTS[1] + 1))
    for _ in range(_TRIES):
        if len(digits) == wanted:
            break
        source = int(rng.choice(sources.index[split]))
        ink = _random_ink(rng, sources.digits[source])
        full = ink > _EDGE
        allowed = MAX_HIDDEN if rng.random() < _OVERLAP_SHARE else 0.0
        if _touches_border(full) or not _may_cover(full, digits, allowed):
            continue
        _paint(rng, pixels, ink, full)
        for below in digits:
            below.visible &= ~full
        digits.append(PlacedDigit(source, int(sources.labels[source]), full, full.copy()))
    return Scene(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), digits, ground)


def _random_ink(rng: np.random.Generator, digit: NDArray[np.float32]) -> NDArray[np.float32]:
    height = float(rng.uniform(*_HEIGHTS))
    reach = min(0.58 * height, SCENE_SIZE / 2)
    centre = (float(rng.uniform(reach, SCENE_SIZE - reach)), float(rng.uniform(reach, SCENE_SIZE - reach)))
    return place_ink(smooth_ink(digit), height, float(rng.uniform(-_MAX_ANGLE, _MAX_ANGLE)), centre, SCENE_SIZE)


def _touches_border(mask: NDArray[np.bool_]) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _may_cover(full: NDArray[np.bool_], digits: list[PlacedDigit], allowed: float) -> bool:
    """Whether, with `full` on top, no more than the allowed share of any digit below is hidden."""
    return all(
        float((below.visible & ~full).sum()) >= (1 - allowed) * float(below.full.sum())
        for below in digits
        if (below.visible & full).any()
    )


def _paint(
    rng: np.random.Generator, pixels: NDArray[np.float32], ink: NDArray[np.float32], full: NDArray[np.bool_]
) -> None:
    """Lay a coloured stroke with a dark edge over the pixels; both borders are one pixel of blending wide."""
    colour = _contrasting_colour(rng, pixels[full].mean(axis=0))
    rows, columns = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
    # The digit never touches the border, so its box with one pixel of blending around it lies within the picture.
    part = np.s_[rows[0] - 1 : rows[-1] + 2, columns[0] - 1 : columns[-1] + 2]
    ink, below = ink[part], pixels[part]
    # Ink less a level, over the ink's slope, is about the distance in pixels to where the ink crosses that level.
    slope = np.maximum(np.hypot(*np.gradient(ink)), 0.01)
    edge = np.clip((ink - _EDGE) / slope + 0.5, 0, 1)[..., None]
    core = np.clip((ink - _CORE) / slope + 0.5, 0, 1)[..., None]
    shade = (0.4 + 0.6 * np.clip(ink, 0, 1))[..., None]
    stroke = colour * (shade * core + np.float32(0.12) * (1 - core))
    pixels[part] = below * (1 - edge) + stroke * edge


def _contrasting_colour(rng: np.random.Generator, below: NDArray[np.float32]) -> NDArray[np.float32]:
    """A random bright RGB colour that stands out from the mean colour below it."""
    best, best_distance = np.zeros(3, dtype=np.float32), -1.0
    for _ in range(20):
        rgb = colorsys.hsv_to_rgb(float(rng.random()), float(rng.uniform(0.1, 0.5)), float(rng.uniform(0.9, 1)))
        colour = np.array(rgb, dtype=np.float32) * 255
        distance = float(np.linalg.norm(colour - below))
        if distance > best_distance:
            best, best_distance = colour, distance
        if distance >= _MIN_CONTRAST:
            break
    return best
