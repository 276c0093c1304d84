"""Scenes, figures and masks, before they are written anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from moganet.datasets.tiny import figures as figures_module
from moganet.datasets.tiny import scenes as scenes_module
from moganet.datasets.tiny.digits import classification_picture
from moganet.datasets.tiny.figures import FigurePicture, compose_picture
from moganet.datasets.tiny.masks import box_of, polygons_of
from moganet.datasets.tiny.people import PARTS, draw_look, draw_person, part_number
from moganet.datasets.tiny.puppet import KEYPOINT_NAMES, SKELETON, draw_puppet
from moganet.datasets.tiny.scenes import GROUND_LABEL, SCENE_SIZE, Scene, compose_scene
from moganet.datasets.tiny.sources import Sources


@pytest.fixture(scope='module')
def scenes(sources: Sources) -> list[Scene]:
    return [compose_scene(np.random.default_rng(seed), sources, 'train') for seed in range(80)]


@pytest.fixture(scope='module')
def pictures(sources: Sources) -> list[FigurePicture]:
    return [compose_picture(np.random.default_rng(seed), sources, 'val') for seed in range(120)]


def _rasterise(polygons: list[list[int]], height: int, width: int) -> np.ndarray:
    if not polygons:
        return np.zeros((height, width), dtype=bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))).astype(bool)


def test_polygons_are_exact_on_noise() -> None:
    """Noise has holes in holes, pixels that touch by a corner, and pixels on every border."""
    rng = np.random.default_rng(0)
    for density in (0.0, 0.2, 0.5, 0.8, 1.0):
        for _ in range(8):
            mask = rng.random((17, 23)) < density
            np.testing.assert_array_equal(_rasterise(polygons_of(mask), 17, 23), mask)


def test_polygon_of_a_ring_leaves_its_hole_open() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[1:8, 2:7] = True
    mask[3:6, 4] = False
    polygons = polygons_of(mask)
    assert len(polygons) == 1
    np.testing.assert_array_equal(_rasterise(polygons, 9, 9), mask)
    assert box_of(mask) == [2, 1, 5, 7]


def test_each_region_has_a_polygon() -> None:
    mask = np.zeros((6, 6), dtype=bool)
    mask[1:3, 1:3] = mask[3:5, 3:5] = True  # they touch by a corner only
    assert sorted(polygons_of(mask)) == [[1, 1, 3, 1, 3, 3, 1, 3], [3, 3, 5, 3, 5, 5, 3, 5]]


def test_classification_picture_is_light_on_dark(sources: Sources) -> None:
    pictures = np.stack([classification_picture(digit) for digit in sources.digits[:50]])
    assert pictures.shape == (50, 64, 64) and pictures.dtype == np.uint8
    assert pictures[:, :14].max() == 0 and pictures[:, :, -14:].max() == 0
    assert pictures.max(axis=(1, 2)).min() > 240
    assert 0.05 < (pictures > 127).mean() < 0.4


def test_scenes_hold_digits_of_their_split(scenes: list[Scene], sources: Sources) -> None:
    allowed = set(sources.index['train'].tolist())
    numbers = [len(scene.digits) for scene in scenes]
    assert min(numbers) >= 1 and max(numbers) == 10
    for digit in (digit for scene in scenes for digit in scene.digits):
        assert digit.source in allowed
        assert digit.label == sources.labels[digit.source]


def test_overlap_is_there_and_capped(scenes: list[Scene]) -> None:
    hidden = [digit.hidden_share for scene in scenes for digit in scene.digits]
    assert 0.2 < max(hidden) <= scenes_module.MAX_HIDDEN
    assert np.mean([share > 0 for share in hidden]) < 0.5


def test_later_digits_cover_earlier_ones(scenes: list[Scene]) -> None:
    for scene in scenes:
        above = np.zeros((SCENE_SIZE, SCENE_SIZE), dtype=bool)
        for digit in reversed(scene.digits):
            np.testing.assert_array_equal(digit.visible, digit.full & ~above)
            above |= digit.full


def test_labels_are_the_visible_masks(scenes: list[Scene]) -> None:
    for scene in scenes:
        labels = scene.labels()
        owner = np.zeros((SCENE_SIZE, SCENE_SIZE), dtype=int)
        for digit in scene.digits:
            assert (labels[digit.visible] == digit.label + 1).all()
            owner += digit.visible
        assert owner.max() == 1
        np.testing.assert_array_equal(labels == GROUND_LABEL, owner == 0)


def test_digits_stand_out_from_their_ground(scenes: list[Scene], sources: Sources) -> None:
    """Within a mask the picture differs from the bare ground, and beyond one pixel around the masks it does not."""
    distances = []
    for scene in scenes:
        change = np.linalg.norm(scene.image.astype(float) - scene.ground.image, axis=2)
        drawn = np.pad(scene.labels() != GROUND_LABEL, 1)
        near = np.any([np.roll(drawn, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)[1:-1, 1:-1]
        assert change[~near].max() == 0
        distances += [float(np.median(change[digit.visible])) for digit in scene.digits]
    assert np.percentile(distances, 2) > 60


def test_keypoints_are_coco(pictures: list[FigurePicture]) -> None:
    assert len(KEYPOINT_NAMES) == 17 and len(SKELETON) == 19
    assert KEYPOINT_NAMES[0] == 'nose' and KEYPOINT_NAMES[16] == 'right_ankle'
    assert {1, 2} == {len(picture.figures) for picture in pictures}


def test_keypoints_are_inside_exactly_if_flagged(pictures: list[FigurePicture]) -> None:
    flags = []
    for figure in (figure for picture in pictures for figure in picture.figures):
        xy, flag = figure.keypoints[:, :2], figure.keypoints[:, 2]
        assert set(flag) <= {0, 1, 2}
        assert (xy[flag == 0] == 0).all()
        assert (xy[flag > 0] >= 0).all() and (xy[flag > 0] <= 159).all()
        assert (flag > 0).sum() >= figures_module.MIN_INSIDE
        flags += flag.tolist()
    shares = np.bincount(np.array(flags, dtype=int)) / len(flags)
    assert shares[2] > 0.8 and 0.02 < shares[1] < 0.2 and 0 < shares[0] < 0.05


def test_joints_beyond_the_border_are_outside() -> None:
    puppet = draw_puppet(np.random.default_rng(2)).moved(100, np.array([80.0, 80.0]))
    puppet.joints.update(left_wrist=np.array([159.4, 3]), right_wrist=np.array([159.6, 3]))
    puppet.joints.update(left_ankle=np.array([5, -0.4]), right_ankle=np.array([5, -0.6]))
    keypoints = figures_module._keypoints(puppet, np.zeros((160, 160), dtype=np.uint8))
    outside = {name for name, row in zip(KEYPOINT_NAMES, keypoints) if row[2] == 0}
    assert outside == {'right_wrist', 'right_ankle'}
    assert keypoints[KEYPOINT_NAMES.index('left_wrist')].tolist() == [159, 3, 1]
    assert keypoints[KEYPOINT_NAMES.index('right_wrist')].tolist() == [0, 0, 0]


def test_seen_keypoints_lie_on_what_is_visible(pictures: list[FigurePicture]) -> None:
    for figure in (figure for picture in pictures for figure in picture.figures):
        x, y = np.rint(figure.keypoints[figure.keypoints[:, 2] == 2, :2]).astype(int).T
        # One pixel of tolerance: a joint of a thin limb may fall on a pixel that the limb covers by less than half.
        grown = np.pad(figure.visible, 1)
        near = np.any([np.roll(grown, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)[1:-1, 1:-1]
        assert near[y, x].all()


def test_a_figure_in_front_hides_keypoints_behind(pictures: list[FigurePicture]) -> None:
    pairs = [picture.figures for picture in pictures if len(picture.figures) == 2]
    covered = 0
    for behind, front in pairs:
        assert behind.hidden_share <= figures_module.MAX_HIDDEN
        assert front.hidden_share == 0
        inside = behind.keypoints[behind.keypoints[:, 2] > 0]
        x, y = np.rint(inside[:, :2]).astype(int).T
        on_front = front.full[y, x]
        assert (inside[on_front, 2] == 1).all()
        covered += int(on_front.sum())
    assert covered > 0


def test_own_body_hides_keypoints() -> None:
    """A wrist behind the back is hidden, one in front of the body is seen."""
    rng = np.random.default_rng(1)
    puppet = draw_puppet(rng).moved(100, np.array([80.0, 80.0]))
    middle = (puppet.joints['neck'] + puppet.joints['left_hip']) / 2
    puppet.joints['left_wrist'] = middle
    look = draw_look(rng)
    flags = {}
    for behind in ((), ('left',)):
        arms = type(look)(**{**vars(look), 'arms_behind': behind})
        _, parts = draw_person(puppet, 100, arms, 160)
        flags[behind] = figures_module._keypoints(puppet, parts)[KEYPOINT_NAMES.index('left_wrist'), 2]
    assert flags == {(): 2, ('left',): 1}


def test_people_face_the_camera() -> None:
    """The figure's own left is the right of the picture: for shoulders and hips always, for the eyes too."""
    for seed in range(50):
        joints = draw_puppet(np.random.default_rng(seed)).joints
        for pair in ('shoulder', 'hip', 'eye', 'ear'):
            assert joints[f'left_{pair}'][0] > joints[f'right_{pair}'][0]


def test_every_part_is_drawn() -> None:
    rng = np.random.default_rng(0)
    seen: set[int] = set()
    for _ in range(10):
        pose = draw_puppet(rng).moved(120, np.array([80.0, 85.0]))
        picture, parts = draw_person(pose, 120, draw_look(rng), 160)
        # The part map is sampled at the pixels' centres, the coverage is a mean: they agree but for the border pixels.
        assert ((parts > 0) == (picture[..., 3] > 127)).mean() > 0.98
        seen |= set(np.unique(parts).tolist())
    assert seen == {0, *(part_number(name) for name in PARTS)}
