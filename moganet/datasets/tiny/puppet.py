"""An articulated figure: joint angles drawn within limits, and the places of COCO's 17 keypoints that follow from them.

Figures face the camera, so the figure's own left is the right of the picture. Coordinates are in units of the figure's
standing height, x to the right, y down, with the middle between the hips as the origin.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEYPOINT_NAMES = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
    'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
    'right_ankle',
)  # fmt: skip
# COCO's own list; it counts from 1.
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip

Vector = NDArray[np.float64]

# Lengths in units of the standing height.
HEAD_HEIGHT, HEAD_WIDTH = 0.085, 0.068  # half axes
_NECK, _TORSO = 0.035, 0.27
_SHOULDER, _HIP = 0.105, 0.062  # half widths
_UPPER_ARM, _FOREARM = 0.165, 0.15
_THIGH, _SHIN = 0.235, 0.215
_EAR_ANGLE, _EYE_ANGLE = 90.0, 27.0  # degrees from the middle of the face
_EAR_DROP, _EYE_DROP, _NOSE_DROP = 0.018, 0.008, 0.034  # below the middle of the head


@dataclass(frozen=True)
class Puppet:
    """A pose.

    Attributes:
        joints: a place for each name of KEYPOINT_NAMES, and for 'neck' and 'head' (its middle).
        head_turn: degrees by which the head is turned to the figure's own left.
        head_tilt: degrees by which the head leans to the figure's own left.
    """

    joints: dict[str, Vector]
    head_turn: float
    head_tilt: float

    def moved(self, scale: float, offset: Vector) -> 'Puppet':
        """The same pose in pixels: `scale` is the standing height, `offset` the place of the origin."""
        joints = {name: place * scale + offset for name, place in self.joints.items()}
        return Puppet(joints, self.head_turn, self.head_tilt)


def draw_puppet(rng: np.random.Generator) -> Puppet:
    """Draw a pose at random."""
    lean = float(np.clip(rng.normal(0, 8), -18, 18))
    turn = float(rng.uniform(-30, 30))
    narrow = float(np.cos(np.radians(turn)))
    up, across = -_direction(-lean), _direction(90 - lean)
    neck = up * _TORSO
    joints: dict[str, Vector] = {'neck': neck}
    for side, sign in (('left', 1), ('right', -1)):
        shoulder = neck + across * sign * _SHOULDER * narrow
        hip = across * sign * _HIP * narrow
        elbow, wrist = _arm(rng, shoulder, sign, lean)
        knee, ankle = _leg(rng, hip, sign)
        joints |= {f'{side}_shoulder': shoulder, f'{side}_elbow': elbow, f'{side}_wrist': wrist}
        joints |= {f'{side}_hip': hip, f'{side}_knee': knee, f'{side}_ankle': ankle}
    tilt = lean + float(np.clip(rng.normal(0, 7), -14, 14))
    head_turn = float(np.clip(turn + rng.normal(0, 10), -35, 35))
    joints |= _face(neck, tilt, head_turn)
    return Puppet(joints, head_turn, tilt)


def _direction(angle: float) -> Vector:
    """The unit vector at some degrees from straight down, towards the right of the picture."""
    return np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])


def _foreshorten(rng: np.random.Generator) -> float:
    """A limb that points towards the camera, or away from it, looks shorter."""
    return float(rng.uniform(0.82, 1))


def _arm(rng: np.random.Generator, shoulder: Vector, sign: int, lean: float) -> tuple[Vector, Vector]:
    raised = rng.random() < 0.45
    upper = float(rng.uniform(55, 155) if raised else rng.uniform(4, 55))
    # A raised forearm goes on, or bends up or down; a hanging one bends outward, or in front of the body.
    lower = upper + float(rng.uniform(-60, 75) if raised else rng.uniform(-95, 100))
    elbow = shoulder + _direction(sign * upper - lean) * _UPPER_ARM * _foreshorten(rng)
    return elbow, elbow + _direction(sign * lower - lean) * _FOREARM * _foreshorten(rng)


def _leg(rng: np.random.Generator, hip: Vector, sign: int) -> tuple[Vector, Vector]:
    upper = float(rng.uniform(-3, 34))
    lower = upper + float(rng.uniform(-45, 14))
    knee = hip + _direction(sign * upper) * _THIGH * _foreshorten(rng)
    return knee, knee + _direction(sign * lower) * _SHIN * _foreshorten(rng)


def _face(neck: Vector, tilt: float, turn: float) -> dict[str, Vector]:
    """The head and the places on it: on a cylinder that is turned about its axis, then leant over."""
    up, across = -_direction(-tilt), _direction(90 - tilt)
    head = neck + up * (_NECK + HEAD_HEIGHT)

    def on_head(angle: float, drop: float) -> Vector:
        return np.asarray(head + across * HEAD_WIDTH * np.sin(np.radians(turn + angle)) - up * drop)

    places = {'head': head, 'nose': on_head(0, _NOSE_DROP)}
    for side, sign in (('left', 1), ('right', -1)):
        places[f'{side}_eye'] = on_head(sign * _EYE_ANGLE, _EYE_DROP)
        places[f'{side}_ear'] = on_head(sign * _EAR_ANGLE, _EAR_DROP)
    return places
