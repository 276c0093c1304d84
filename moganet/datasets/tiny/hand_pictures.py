"""Pictures of hands: what one camera sees of a frame, drawn on a crop of a photograph."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moganet.datasets.tiny.brush import Brush, Colour, Disc
from moganet.datasets.tiny.grounds import Ground, draw_ground
from moganet.datasets.tiny.hands import FINGERS, SIDES, WRIST, Array, Camera, Frame, Hand
from moganet.datasets.tiny.sources import Sources, Split

PICTURE_SIZE = 192
PARTS = ('sleeve', *SIDES)  # in the order of their numbers on the part map, where 0 is the ground
_UNIT = 400.0  # millimetres in the unit of the brush, at the depth of the wrist
_GIRTHS = {'thumb': 10.5, 'index': 8.8, 'middle': 9.0, 'ring': 8.5, 'pinky': 7.4}  # half, millimetres, at the root
_FOREARM = 90.0  # millimetres of it that are drawn


@dataclass(frozen=True)
class HandLook:
    """RGB colours of 0 to 255: the back of a hand, its inside, the nails and the sleeve."""

    back: Colour
    palm: Colour
    nail: Colour
    sleeve: Colour


@dataclass(frozen=True)
class HandPicture:
    """A picture of a frame.

    Attributes:
        image: (192, 192, 3) RGB uint8.
        parts: (192, 192) uint8, what is uppermost: 0 the ground, then PARTS.
        ground: the crop of a photograph.
    """

    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    ground: Ground

    @property
    def hands(self) -> NDArray[np.bool_]:
        """(192, 192) bool, where a hand can be seen."""
        return np.asarray(self.parts > 1)


def draw_look(rng: np.random.Generator) -> HandLook:
    """Colour a pair of hands at random."""
    back = np.clip(np.array([224, 172, 138]) * rng.uniform(0.42, 1.05) * rng.uniform(0.95, 1.05, size=3), 0, 255)
    # The inside of a hand is light, whatever the skin.
    palm = 0.55 * back + 0.45 * np.array([240, 186, 165])
    rgb = colorsys.hsv_to_rgb(float(rng.random()), float(rng.uniform(0.1, 1)), float(rng.uniform(0.3, 0.9)))
    return HandLook(back, palm, 0.4 * back + 0.6 * np.array([250, 214, 205]), np.array(rgb) * 255)


def compose_view(
    rng: np.random.Generator, sources: Sources, split: Split, frame: Frame, camera: Camera, look: HandLook
) -> HandPicture:
    """Draw what a camera sees of a frame; the crop behind it follows from `rng`."""
    ground = draw_ground(rng, sources, split, PICTURE_SIZE)
    root = np.mean([camera.see(hand.joints)[WRIST, 2] for hand in frame.hands])
    brush = Brush(PICTURE_SIZE, float(camera.focal[0] * _UNIT / root), PARTS)
    bodies = [body for hand in frame.hands for body in _bodies(hand, camera, look)]
    for body in sorted(bodies, key=lambda body: -body.depth):
        brush.fill(body.part, body.discs, body.colour)
        for discs, colour in body.details:
            brush.touch(discs, colour)
    picture, parts = brush.reduced()
    cover = picture[..., 3:].astype(np.float32) / 255
    image = np.clip(np.rint(ground.image * (1 - cover) + picture[..., :3]), 0, 255).astype(np.uint8)
    return HandPicture(image, parts, ground)


@dataclass(frozen=True)
class _Body:
    """A rounded piece of a hand, how deep its middle lies, and what is drawn on it."""

    part: str
    depth: float
    discs: list[Disc]
    colour: Colour
    details: list[tuple[list[Disc], Colour]]


def _bodies(hand: Hand, camera: Camera, look: HandLook) -> list[_Body]:
    """The forearm, the palm and the bones of the fingers."""
    seen = camera.see(hand.joints)
    # How much of its inside each bone shows to the camera: 1 all, -1 none.
    inside = -np.sum(hand.palms @ camera.rotation.T * seen / np.linalg.norm(seen, axis=1, keepdims=True), axis=1)

    def disc(place: Array, radius: float) -> Disc:
        return camera.project(place), hand.scale * radius / _UNIT

    def body(part: str, discs: list[tuple[Array, float]], shown: float, details: list[_Detail]) -> _Body:
        depth = float(np.mean([camera.see(place)[2] for place, _ in discs]))
        share = min(1.0, max(0.0, 0.5 + shown))
        colour = look.sleeve if part == 'sleeve' else share * look.palm + (1 - share) * look.back
        drawn = [([disc(*one) for one in places], tone) for places, tone in details]
        return _Body(part, depth, [disc(*one) for one in discs], colour, drawn)

    wrist, palm = hand.joints[WRIST], hand.palms[WRIST]
    roots = {finger: hand.joints[4 * number + 3] for number, finger in enumerate(FINGERS)}
    back = wrist - roots['middle']
    back = back / np.linalg.norm(back)
    heel = [(wrist + 0.25 * (roots[finger] - roots['middle']), 15.0) for finger in ('index', 'pinky')]
    bodies = [body('sleeve', [(wrist + 28 * back, 27.0), (wrist + _FOREARM * back, 33.0)], 0, [])]
    knuckles = [(roots[finger], _GIRTHS[finger] + 2.5) for finger in FINGERS[1:]]
    bodies.append(body(hand.side, heel + knuckles, inside[WRIST], _palm_details(hand, roots, inside[WRIST], look)))
    bodies.append(body(hand.side, [(wrist + 6 * palm, 17.0), (roots['index'] * 0.8 + wrist * 0.2, 8.0)],
                       inside[WRIST], []))  # fmt: skip
    bodies.append(body(hand.side, [(wrist, 16.0), (roots['thumb'], 15.0)], inside[WRIST], []))
    for number, finger in enumerate(FINGERS):
        for joint in (4 * number + 2, 4 * number + 1, 4 * number):
            start, stop = hand.joints[joint + 1], hand.joints[joint]
            girth = _GIRTHS[finger] * (1 - 0.08 * (4 * number + 2 - joint))
            details = _nail(start, stop, hand.palms[joint], girth, look) if joint % 4 == 0 else []
            bodies.append(
                body(hand.side, [(start, girth * 1.04), (stop, girth * 0.94)], inside[joint],
                     details if inside[joint] < 0.25 else [])
            )  # fmt: skip
    return bodies


_Detail = tuple[list[tuple[Array, float]], Colour]


def _nail(start: Array, stop: Array, palm: Array, girth: float, look: HandLook) -> list[_Detail]:
    """A nail on the back of a finger's last bone."""
    along = stop - start
    middle = stop - 0.12 * along - 0.7 * girth * palm
    return [([(middle, 0.55 * girth), (middle + 0.2 * along, 0.5 * girth)], look.nail)]


def _palm_details(hand: Hand, roots: dict[str, Array], inside: float, look: HandLook) -> list[_Detail]:
    """Two creases on the inside of a hand, or knuckles on its back."""
    wrist = hand.joints[WRIST]
    if inside > 0.1:
        dark = 0.72 * look.palm
        across = [0.72 * roots[finger] + 0.28 * wrist for finger in ('index', 'pinky')]
        down = [0.66 * roots['index'] + 0.34 * wrist, 0.25 * roots['middle'] + 0.75 * wrist]
        return [([(place, 1.3) for place in line], dark) for line in (across, down)]
    if inside < -0.1:
        return [([(roots[finger], 4.0)], 0.8 * look.back) for finger in FINGERS[1:]]
    return []
