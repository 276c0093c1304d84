"""Articulated 3D hands of 21 joints, and the pinhole cameras that see them, in InterHand2.6M's conventions.

The world is in millimetres. A camera's own axes are x to the right, y down and z ahead, and what it sees of a point is

    (X, Y, Z) = rotation @ (point - position),    x = focal * X / Z + centre_x,    y = focal * Y / Z + centre_y.

A hand's own axes are z out of the palm, y towards the fingers and x across: on a right hand towards its thumb, so that
the axes are right-handed as the world's are; a left hand is the mirror image.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Side = Literal['right', 'left']
HandType = Literal['right', 'left', 'interacting']

SIDES: tuple[Side, ...] = get_args(Side)
FINGERS = ('thumb', 'index', 'middle', 'ring', 'pinky')
# InterHand2.6M's order, the right hand first: from the tip of each finger, 4, to its root, 1; the wrist last.
JOINT_NAMES = tuple(
    f'{side[0]}_{name}'
    for side in SIDES
    for name in (*(f'{finger}{number}' for finger in FINGERS for number in (4, 3, 2, 1)), 'wrist')
)
JOINTS = 21  # of one hand
WRIST = 20  # among the joints of one hand

CAMERAS = 4  # around one capture
FIELD = 320.0  # millimetres at the world's origin that a picture is wide
_DISTANCES = (700.0, 1000.0)
_MARGIN = 0.04  # share of the picture's side that is left between the joints and the border
_TRIES = 50

# Millimetres, in the hand's own axes: where a finger begins, and the lengths of its three bones.
_ROOTS = {
    'thumb': (28.0, 24.0, 10.0), 'index': (23.0, 88.0, 0.0), 'middle': (3.0, 91.0, 0.0), 'ring': (-16.0, 85.0, 0.0),
    'pinky': (-33.0, 75.0, 0.0),
}  # fmt: skip
_BONES = {
    'thumb': (40.0, 32.0, 27.0), 'index': (41.0, 25.0, 21.0), 'middle': (45.0, 29.0, 22.0), 'ring': (41.0, 27.0, 21.0),
    'pinky': (33.0, 20.0, 19.0),
}  # fmt: skip
_SPREADS = {'index': 7.0, 'middle': 1.0, 'ring': -5.0, 'pinky': -13.0}  # degrees towards the thumb


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        position: (3,) of its pinhole in the world, millimetres.
        rotation: (3, 3), whose rows are the camera's axes in the world.
        focal: (2,) pixels.
        centre: (2,) the principal point, pixels.
    """

    position: Array
    rotation: Array
    focal: Array
    centre: Array

    def see(self, points: Array) -> Array:
        """Points (..., 3) of the world in the camera's own axes, millimetres."""
        return np.asarray((points - self.position) @ self.rotation.T)

    def project(self, points: Array) -> Array:
        """Points (..., 3) of the world in the picture (..., 2), pixels."""
        seen = self.see(points)
        return np.asarray(seen[..., :2] / seen[..., 2:] * self.focal + self.centre)


@dataclass(frozen=True)
class Hand:
    """One posed hand.

    Attributes:
        side: which hand it is.
        joints: (21, 3) in the world, millimetres, in the order of JOINT_NAMES.
        palms: (21, 3) for each joint the direction in which the bone towards it faces on the palm's side; for the root
            of a finger and the wrist that is the palm's.
        scale: its size; 1 is a length of 185 mm.
    """

    side: Side
    joints: Array
    palms: Array
    scale: float


@dataclass(frozen=True)
class Frame:
    """What all cameras see at one moment: a right hand, a left hand, or both."""

    hand_type: HandType
    hands: tuple[Hand, ...]

    def world(self) -> Array:
        """(42, 3) joints in the world, millimetres; zeros for a hand that is not there."""
        joints = np.zeros((2 * JOINTS, 3))
        for hand in self.hands:
            start = JOINTS * SIDES.index(hand.side)
            joints[start : start + JOINTS] = hand.joints
        return joints

    def valid(self) -> NDArray[np.int64]:
        """(42,) 1 for each joint of a hand that is there, else 0."""
        there = [side in {hand.side for hand in self.hands} for side in SIDES]
        return np.repeat(np.array(there, dtype=np.int64), JOINTS)


def draw_cameras(rng: np.random.Generator, size: int) -> tuple[Camera, ...]:
    """The cameras of one capture: in front of the world's origin and turned to it.

    Args:
        rng: decides their places.
        size: side of their square pictures, pixels.
    """
    cameras = []
    for _ in range(CAMERAS):
        turn, tilt, roll = rng.uniform(-25, 25), rng.uniform(-15, 15), rng.uniform(-10, 10)
        rotation = _about('z', roll) @ _about('x', tilt) @ _about('y', turn)
        distance = float(rng.uniform(*_DISTANCES))
        position = -rotation.T @ np.array([0, 0, distance])
        centre = (size - 1) / 2 + rng.uniform(-0.02, 0.02, size=2) * size
        cameras.append(Camera(position, rotation, np.full(2, size * distance / FIELD), centre))
    return tuple(cameras)


def draw_frame(rng: np.random.Generator, cameras: tuple[Camera, ...], size: int) -> Frame:
    """Pose a hand or two so that each of the cameras has all joints in its picture."""
    hand_type = get_args(HandType)[int(rng.integers(3))]
    for _ in range(_TRIES):
        frame = _draw_frame(rng, hand_type)
        joints = np.concatenate([hand.joints for hand in frame.hands])
        places = np.stack([camera.project(joints) for camera in cameras])
        if places.min() >= _MARGIN * size and places.max() <= (1 - _MARGIN) * size - 1:
            return frame
    # The field is wide enough for most poses, so this is hardly ever reached.
    return _moved(frame, -joints.mean(axis=0))


def _draw_frame(rng: np.random.Generator, hand_type: HandType) -> Frame:
    # 0: the palms face the cameras; 180: the backs do, as when one looks at one's own hands.
    facing = 180.0 * float(rng.integers(2))
    if hand_type != 'interacting':
        return Frame(hand_type, (_draw_hand(rng, hand_type, facing, rng.normal(0, 12, size=3)),))
    # With the palms towards a camera, the right hand is at the left of the picture.
    apart = float(rng.uniform(35, 110)) / 2 * (-1 if facing == 0 else 1)
    shift = np.array([apart, rng.uniform(-15, 15), rng.uniform(-20, 20)])
    return Frame(hand_type, tuple(_draw_hand(rng, s, facing, shift * (1, -1)[i]) for i, s in enumerate(SIDES)))


def _moved(frame: Frame, offset: Array) -> Frame:
    hands = tuple(Hand(hand.side, hand.joints + offset, hand.palms, hand.scale) for hand in frame.hands)
    return Frame(frame.hand_type, hands)


def _draw_hand(rng: np.random.Generator, side: Side, facing: float, middle: Array) -> Hand:
    """Pose one hand with its fingers about upwards; `middle` is where the middle of its joints goes."""
    scale = float(rng.uniform(0.88, 1.08))
    joints, palms = _draw_joints(rng)
    if side == 'left':
        joints, palms = joints * (-1, 1, 1), palms * (-1, 1, 1)
    # The hand's y is up, which is the world's -y, and its palm looks to where the cameras are, the world's -z.
    upright = np.diag([1.0, -1.0, -1.0])
    turn, tilt, lean = facing + rng.uniform(-30, 30), rng.uniform(-20, 20), rng.uniform(-30, 30)
    rotation = _about('z', lean) @ _about('x', tilt) @ _about('y', turn) @ upright
    placed = scale * joints @ rotation.T
    return Hand(side, placed + middle - placed.mean(axis=0), palms @ rotation.T, scale)


def _draw_joints(rng: np.random.Generator) -> tuple[Array, Array]:
    """Joints (21, 3) of a right hand in its own axes, millimetres from the wrist, and their palm directions (21, 3)."""
    joints, palms = np.zeros((JOINTS, 3)), np.tile([0.0, 0.0, 1.0], (JOINTS, 1))
    curl = float(rng.uniform(0, 1) ** 1.5)  # open hands are more frequent than fists
    spread = float(rng.uniform(-0.3, 1.6))
    for number, finger in enumerate(FINGERS):
        own = float(np.clip(curl + rng.normal(0, 0.18), -0.08, 1))
        if finger == 'thumb':
            along = np.array([0.72, 0.66, 0.2 + 0.3 * own])
            bends = np.array([0.1, 0.35, 0.45]) * 90 * own
        else:
            angle = np.radians(_SPREADS[finger] * (1 + spread * (1 - own)))
            along = np.array([np.sin(angle), np.cos(angle), 0.0])
            bends = np.array([0.75, 1.0, 0.6]) * 90 * own
        along = along / np.linalg.norm(along)
        # A thumb bends across the palm, the others onto it.
        towards = np.array([-0.75, 0.25, 0.6]) if finger == 'thumb' else np.array([0.0, 0.0, 1.0])
        towards = towards - towards @ along * along
        towards /= np.linalg.norm(towards)
        place, root = np.array(_ROOTS[finger]), 4 * number + 3
        joints[root] = place
        for bone, bend in enumerate(np.radians(np.cumsum(bends)), start=1):
            place = place + _BONES[finger][bone - 1] * (np.cos(bend) * along + np.sin(bend) * towards)
            joints[root - bone] = place
            palms[root - bone] = np.cos(bend) * towards - np.sin(bend) * along
    return joints, palms


def _about(axis: Literal['x', 'y', 'z'], angle: float) -> Array:
    """The rotation by some degrees about an axis."""
    sine, cosine = float(np.sin(np.radians(angle))), float(np.cos(np.radians(angle)))
    first, second = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix
