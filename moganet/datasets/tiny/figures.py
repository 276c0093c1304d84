"""Pictures of people: one or two drawn figures on a crop of a photograph, with what can be seen of each keypoint."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moganet.datasets.tiny.grounds import Ground, draw_ground
from moganet.datasets.tiny.people import draw_look, draw_person, part_number
from moganet.datasets.tiny.puppet import KEYPOINT_NAMES, Puppet, draw_puppet
from moganet.datasets.tiny.sources import Sources, Split

PICTURE_SIZE = 160
MAX_HIDDEN = 0.35  # share of a figure's own pixels that the figure before it may cover
MIN_INSIDE = 13  # keypoints of 17
_TWO_SHARE = 0.3  # of the pictures hold two figures
_CUT_SHARE = 0.15  # of the figures may reach beyond the border
_HEIGHTS = {1: (95.0, 150.0), 2: (80.0, 125.0)}
_TRIES = 30

# A keypoint is seen where one of these parts is uppermost.
_OWN_PARTS: dict[str, tuple[str, ...]] = {
    'nose': ('head',),
    'eye': ('head',),
    'ear': ('{side}_ear',),
    'shoulder': ('torso', '{side}_upper_arm'),
    'elbow': ('{side}_upper_arm', '{side}_forearm'),
    'wrist': ('{side}_forearm',),
    'hip': ('torso', '{side}_thigh'),
    'knee': ('{side}_thigh', '{side}_shin'),
    'ankle': ('{side}_shin',),
}


@dataclass
class Figure:
    """One figure of a picture.

    Attributes:
        keypoints: (17, 3): x and y in pixels, and COCO's flag: 2 seen, 1 hidden, 0 (and x = y = 0) outside the picture.
        full: (160, 160) bool, every pixel of the figure within the picture.
        visible: the same less what the figure before it covers.
    """

    keypoints: NDArray[np.float64]
    full: NDArray[np.bool_]
    visible: NDArray[np.bool_]

    @property
    def hidden_share(self) -> float:
        return 1 - float(self.visible.sum()) / float(self.full.sum())


@dataclass(frozen=True)
class FigurePicture:
    """A picture, its figures from the farthest to the nearest, and the crop behind them.

    Attributes:
        image: (160, 160, 3) RGB uint8.
        figures: one or two figures.
        ground: the crop of a photograph.
    """

    image: NDArray[np.uint8]
    figures: list[Figure]
    ground: Ground


def compose_picture(rng: np.random.Generator, sources: Sources, split: Split) -> FigurePicture:
    """Make one picture of people; everything about it follows from `rng`, the split and the sources."""
    ground = draw_ground(rng, sources, split, PICTURE_SIZE, for_people=True)
    image = ground.image
    figures: list[Figure] = []
    wanted = 2 if rng.random() < _TWO_SHARE else 1
    for _ in range(wanted):
        height = float(rng.uniform(*_HEIGHTS[wanted]))
        puppet = _placed_puppet(rng, height)
        picture, parts = draw_person(puppet, height, draw_look(rng), PICTURE_SIZE)
        full = picture[..., 3] > 127
        if any(float((f.visible & ~full).sum()) < (1 - MAX_HIDDEN) * float(f.full.sum()) for f in figures):
            continue
        for below in figures:
            _cover(below, full)
        figures.append(Figure(_keypoints(puppet, parts), full, full.copy()))
        image = _blend(image, picture)
    return FigurePicture(image, figures, ground)


def _placed_puppet(rng: np.random.Generator, height: float) -> Puppet:
    """A pose somewhere in the picture: as a rule wholly inside, now and then cut by the border."""
    margin = 0.05 * height  # limbs, hands and feet are thicker than their joints
    may_be_cut = rng.random() < _CUT_SHARE
    for _ in range(_TRIES):
        pose = draw_puppet(rng).moved(height, np.zeros(2))
        places = np.stack(list(pose.joints.values()))
        low, high = margin - places.min(axis=0), PICTURE_SIZE - 1 - margin - places.max(axis=0)
        # The top of the head and the soles lie farther out than the joints.
        low, high = low + (0, 0.06 * height), high - (0, 0.01 * height)
        if may_be_cut:
            low, high = low - 0.2 * height, high + 0.2 * height
        if (low > high).any():
            continue
        moved = pose.moved(1, rng.uniform(low, high))
        if _inside(np.stack([moved.joints[name] for name in KEYPOINT_NAMES])).sum() >= MIN_INSIDE:
            return moved
    # A standing height below the side of the picture leaves room for nearly every pose, so this is hardly ever reached.
    middle = (PICTURE_SIZE - places.min(axis=0) - places.max(axis=0)) / 2
    return pose.moved(1, middle)


def _inside(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each row of places, whether the pixel nearest to it belongs to the picture."""
    nearest = np.rint(places)
    return np.asarray(((nearest >= 0) & (nearest < PICTURE_SIZE)).all(axis=1))


def _keypoints(puppet: Puppet, parts: NDArray[np.uint8]) -> NDArray[np.float64]:
    places = np.stack([puppet.joints[name] for name in KEYPOINT_NAMES])
    keypoints = np.zeros((len(KEYPOINT_NAMES), 3))
    for row, name, place, inside in zip(keypoints, KEYPOINT_NAMES, places, _inside(places), strict=True):
        if inside:
            side, _, joint = name.rpartition('_')
            own = {part_number(part.format(side=side)) for part in _OWN_PARTS[joint]}
            row[:2] = np.clip(place.round(1), 0, PICTURE_SIZE - 1)
            x, y = np.rint(row[:2]).astype(int)
            row[2] = 2 if int(parts[y, x]) in own else 1
    return keypoints


def _cover(figure: Figure, above: NDArray[np.bool_]) -> None:
    """Hide a part of a figure behind another one."""
    figure.visible &= ~above
    x, y = np.rint(figure.keypoints[:, :2]).astype(int).T
    figure.keypoints[(figure.keypoints[:, 2] == 2) & above[y, x], 2] = 1


def _blend(image: NDArray[np.uint8], picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cover = picture[..., 3:].astype(np.float32) / 255
    return np.clip(np.rint(image * (1 - cover) + picture[..., :3]), 0, 255).astype(np.uint8)
