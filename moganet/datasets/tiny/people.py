"""Draws a puppet as a clothed person, with shading, and a map that tells which part of the body is uppermost where."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moganet.datasets.tiny.brush import Brush, Colour
from moganet.datasets.tiny.puppet import HEAD_HEIGHT, HEAD_WIDTH, Puppet, Vector

# The parts in the order of their numbers on the part map, where 0 is what lies behind the person.
PARTS = (
    'hair', 'left_ear', 'right_ear', 'neck', 'head', 'torso', 'left_upper_arm', 'right_upper_arm',
    'left_forearm', 'right_forearm', 'left_thigh', 'right_thigh', 'left_shin', 'right_shin',
)  # fmt: skip
_SIDES = ('left', 'right')
_FAR_EAR = 12.0  # degrees: an ear that the head's turn brings farther back than this is drawn below the head


@dataclass(frozen=True)
class Look:
    """What a person looks like and wears: RGB colours of 0 to 255, `girth` about 1, which arms are behind the body."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    girth: float
    long_sleeves: bool
    shorts: bool
    long_hair: bool
    arms_behind: tuple[str, ...]


def draw_look(rng: np.random.Generator) -> Look:
    """Dress a person at random."""
    skin = np.array([236, 192, 160]) * rng.uniform(0.42, 1.05) * rng.uniform(0.95, 1.05, size=3)
    hair = np.array([[40, 28, 22], [92, 58, 30], [196, 152, 84], [120, 116, 112], [22, 20, 24]])[int(rng.integers(5))]
    shirt, trousers = _cloth(rng, 0.55, 1.0), _cloth(rng, 0.3, 0.8)
    return Look(
        skin=np.clip(skin, 0, 255),
        hair=hair * rng.uniform(0.8, 1.2),
        shirt=shirt,
        trousers=trousers,
        shoes=_cloth(rng, 0.15, 0.9),
        girth=float(rng.uniform(0.9, 1.2)),
        long_sleeves=bool(rng.random() < 0.5),
        shorts=bool(rng.random() < 0.3),
        long_hair=bool(rng.random() < 0.4),
        arms_behind=tuple(side for side in _SIDES if rng.random() < 0.2),
    )


def _cloth(rng: np.random.Generator, darkest: float, brightest: float) -> Colour:
    rgb = colorsys.hsv_to_rgb(float(rng.random()), float(rng.uniform(0.1, 1)), float(rng.uniform(darkest, brightest)))
    return np.array(rgb) * 255


def draw_person(puppet: Puppet, height: float, look: Look, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a person on an empty square picture.

    Args:
        puppet: the pose in pixels, whose centres are whole numbers; it may reach beyond the picture's border.
        height: the standing height in pixels.
        look: colours and clothes.
        size: side of the picture.

    Returns:
        (size, size, 4) uint8, RGB times coverage and the coverage; and the (size, size) part map, the uppermost part at
        each pixel's centre (see `PARTS`).
    """
    brush = Brush(size, height, PARTS)
    joints = puppet.joints
    for side in look.arms_behind:
        _draw_arm(brush, joints, look, side)
    if look.long_hair:
        brush.fill('hair', [(joints['head'], HEAD_WIDTH * 1.12), (joints['neck'], HEAD_WIDTH * 0.95)], look.hair)
    _draw_legs_and_torso(brush, joints, look)
    _draw_head(brush, puppet, look)
    for side in _SIDES:
        if side not in look.arms_behind:
            _draw_arm(brush, joints, look, side)
    return brush.reduced()


def part_number(name: str) -> int:
    """The number of a part on the part map."""
    return PARTS.index(name) + 1


def _draw_arm(brush: Brush, joints: dict[str, Vector], look: Look, side: str) -> None:
    shoulder, elbow, wrist = (joints[f'{side}_{joint}'] for joint in ('shoulder', 'elbow', 'wrist'))
    girth = look.girth
    sleeve = look.shirt * 0.94  # so that an arm in front of the torso can be told from it
    brush.fill(f'{side}_forearm', [(wrist + (wrist - elbow) * 0.17, 0.022)], look.skin)
    brush.fill(
        f'{side}_forearm', [(elbow, 0.026 * girth), (wrist, 0.019 * girth)], sleeve if look.long_sleeves else look.skin
    )
    brush.fill(f'{side}_upper_arm', [(shoulder, 0.036 * girth), (elbow, 0.027 * girth)], sleeve)


def _draw_legs_and_torso(brush: Brush, joints: dict[str, Vector], look: Look) -> None:
    girth = look.girth
    for side, outward in (('right', -1), ('left', 1)):
        hip, knee, ankle = (joints[f'{side}_{joint}'] for joint in ('hip', 'knee', 'ankle'))
        toe = ankle + np.array([0.03 * outward, 0.022]) * brush.unit
        brush.fill(f'{side}_shin', [(ankle + np.array([0, 0.016]) * brush.unit, 0.02), (toe, 0.016)], look.shoes)
        brush.fill(
            f'{side}_shin', [(knee, 0.034 * girth), (ankle, 0.022 * girth)], look.skin if look.shorts else look.trousers
        )
        brush.fill(f'{side}_thigh', [(hip, 0.05 * girth), (knee, 0.036 * girth)], look.trousers)
    hips = [(joints[f'{side}_hip'], 0.05 * girth) for side in _SIDES]
    shoulders = [(joints[f'{side}_shoulder'], 0.034 * girth) for side in _SIDES]
    brush.fill('torso', hips, look.trousers)
    waist = [(joints[f'{side}_hip'] * 0.85 + joints['neck'] * 0.15, 0.045 * girth) for side in _SIDES]
    brush.fill('torso', shoulders + waist, look.shirt)


def _draw_head(brush: Brush, puppet: Puppet, look: Look) -> None:
    joints, turn = puppet.joints, puppet.head_turn
    head, neck = joints['head'], joints['neck']
    up = (head - neck) / float(np.linalg.norm(head - neck)) * brush.unit
    long = HEAD_HEIGHT - HEAD_WIDTH
    brush.fill('neck', [(neck, 0.03), (neck * 0.4 + head * 0.6, 0.028)], look.skin * 0.9)
    far = [side for side, sign in (('left', 1), ('right', -1)) if sign * turn > _FAR_EAR]
    for side in far:
        brush.fill(f'{side}_ear', [(joints[f'{side}_ear'], 0.017)], look.skin * 0.95)
    brush.fill('hair', [(head + up * 0.022, HEAD_WIDTH * 1.1)], look.hair)
    chin = head - up * long * 1.6
    brush.fill('head', [(head + up * long * 0.4, HEAD_WIDTH * 0.97), (chin, HEAD_WIDTH * 0.62)], look.skin)
    for side in _SIDES:
        if side not in far:
            brush.fill(f'{side}_ear', [(joints[f'{side}_ear'], 0.017)], look.skin * 0.95)
    _draw_face(brush, puppet, look, up)


def _draw_face(brush: Brush, puppet: Puppet, look: Look, up: Vector) -> None:
    joints, head = puppet.joints, puppet.joints['head']
    across = np.array([-up[1], up[0]])
    fringe = head + up * 0.052 + across * 0.02 * np.sin(np.radians(puppet.head_turn))
    brush.fill('hair', [(fringe - across * 0.036, 0.024), (fringe + across * 0.036, 0.024)], look.hair)
    for side in _SIDES:
        eye = joints[f'{side}_eye']
        brush.touch([(eye, 0.0135)], np.array([245.0, 245, 245]))
        brush.touch([(eye, 0.0085)], np.array([20.0, 20, 30]))
    nose = joints['nose']
    brush.touch([(nose + up * 0.02, 0.004), (nose, 0.009)], look.skin * 0.62)
    mouth = nose - up * 0.026
    brush.touch([(mouth - across * 0.018, 0.005), (mouth + across * 0.018, 0.005)], np.array([150.0, 40, 50]))
