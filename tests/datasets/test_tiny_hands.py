"""The set of 3D hands: its geometry, its files in InterHand2.6M's format, and what mmpose makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

import moganet  # noqa: F401 - applies what the toolboxes need
from moganet.datasets.tiny import build, plan
from moganet.datasets.tiny.hand_pictures import PICTURE_SIZE, HandPicture, compose_view, draw_look
from moganet.datasets.tiny.hand_writer import Shot
from moganet.datasets.tiny.hands import CAMERAS, JOINT_NAMES, JOINTS, WRIST, Camera, Frame, draw_cameras, draw_frame
from moganet.datasets.tiny.sources import PHOTOGRAPHS, SPLITS, Box, Sources

from .test_tiny_build import _digests

ANNOTATIONS = {'train': 'all', 'val': 'machine_annot'}
TYPES = ('right', 'left', 'interacting')


@pytest.fixture(scope='module')
def hands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('hands')
    (report,) = build(out, plan(['hands'], 'small'))
    assert report.folder == out / 'interhand2.6m' and report.counts == {'train': 24, 'val': 8}
    return report.folder


@pytest.fixture(scope='module')
def views() -> list[tuple[Frame, Camera]]:
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cameras = draw_cameras(rng, PICTURE_SIZE)
        frame = draw_frame(rng, cameras, PICTURE_SIZE)
        found += [(frame, camera) for camera in cameras]
    return found


def _read(hands: Path, split: str, kind: str) -> Any:
    file = hands / 'annotations' / ANNOTATIONS[split] / f'InterHand2.6M_{split}_{kind}.json'
    return json.loads(file.read_text())


def test_joints_are_interhands_in_its_order(hands: Path) -> None:
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    meta = parse_pose_metainfo({'from_file': 'configs/_base_/datasets/interhand3d.py'})
    words = {'r': 'right', 'l': 'left', 'index': 'forefinger', 'middle': 'middle_finger', 'ring': 'ring_finger'}
    words['pinky'] = 'pinky_finger'
    for number, name in enumerate(JOINT_NAMES):
        side, joint = name.split('_')
        finger, count = joint.rstrip('1234'), joint[len(joint.rstrip('1234')) :]
        assert meta['keypoint_id2name'][number] == f'{words[side]}_{words.get(finger, finger)}{count}'
    lines = [line.split() for line in (hands / 'annotations/skeleton.txt').read_text().splitlines()]
    assert [(name, int(number)) for name, number, _ in lines] == [(n, i) for i, n in enumerate(JOINT_NAMES)]
    links = {frozenset((int(number), int(parent))) for _, number, parent in lines if parent != '-1'}
    assert links == {frozenset(link) for link in meta['skeleton_links']}
    assert [name for name, _, parent in lines if parent == '-1'] == ['r_wrist', 'l_wrist']


def test_a_right_hand_is_right(views: list[tuple[Frame, Camera]]) -> None:
    """Fingers bend to the side where the palm is: on a right hand that of (thumb's side) x (fingers), seen or not."""
    bent = {'right': 0, 'left': 0}
    for frame, camera in views:
        for hand in frame.hands:
            seen = camera.see(hand.joints)
            root = {name[2:]: seen[number] for number, name in enumerate(JOINT_NAMES[:JOINTS])}
            across, along = root['index1'] - root['pinky1'], root['middle1'] - root['wrist']
            palm = np.cross(across, along) * (1 if hand.side == 'right' else -1)
            palm /= np.linalg.norm(palm)
            for finger in ('index', 'middle', 'ring', 'pinky'):
                assert (root[f'{finger}4'] - root[f'{finger}1']) @ palm > -20  # a straight finger may lean back
                bent[hand.side] += (root[f'{finger}4'] - root[f'{finger}1']) @ palm > 25
            np.testing.assert_allclose(camera.rotation @ hand.palms[WRIST], palm, atol=0.02)
    assert min(bent.values()) > 100
    assert {frame.hand_type for frame, _ in views} == set(TYPES)


def test_bones_keep_their_lengths(views: list[tuple[Frame, Camera]]) -> None:
    lengths = [
        np.linalg.norm(np.diff(hand.joints[:20].reshape(5, 4, 3), axis=1), axis=2) / hand.scale
        for frame, _ in views
        for hand in frame.hands
    ]
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], np.shape(lengths)))
    assert np.isclose(lengths[0][2].sum(), 96) and lengths[0].min() > 15  # the middle finger: 45 + 29 + 22 mm


def test_cameras_are_rotations_that_look_at_the_origin(views: list[tuple[Frame, Camera]]) -> None:
    for _, camera in views:
        np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-12)
        assert np.isclose(np.linalg.det(camera.rotation), 1)
        x, y, z = camera.see(np.zeros(3))
        assert np.isclose([x, y], 0, atol=1e-9).all() and 700 <= z <= 1000
        np.testing.assert_allclose(camera.project(np.zeros(3)), camera.centre)


def test_joints_lie_on_the_drawn_hands(views: list[tuple[Frame, Camera]], sources: Sources) -> None:
    on_hands = []
    for number, (frame, camera) in enumerate(views[::4]):
        rng = np.random.default_rng(number)
        picture: HandPicture = compose_view(rng, sources, 'val', frame, camera, draw_look(rng))
        assert picture.image.shape == (PICTURE_SIZE, PICTURE_SIZE, 3)
        drawn = {value for value in np.unique(picture.parts) if value > 1}
        assert drawn == {2 + ('right', 'left').index(hand.side) for hand in frame.hands}
        # Behind what is drawn the photograph is as it was; the reduction blends a pixel along the border.
        changed = (picture.image != picture.ground.image).any(axis=2)
        near = np.pad(picture.parts > 0, 1)
        near = np.any([np.roll(near, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)[1:-1, 1:-1]
        assert not changed[~near].any() and changed[picture.hands].mean() > 0.95
        for hand in frame.hands:
            x, y = np.rint(camera.project(hand.joints)).astype(int).T
            assert (picture.parts[y, x] > 0).all()
            on_hands += (picture.parts[y, x] > 1).tolist()
    assert np.mean(on_hands) > 0.97  # the rest is behind a sleeve


@pytest.mark.parametrize('split', SPLITS)
def test_files_are_complete(hands: Path, split: str) -> None:
    data, cameras, joints = (_read(hands, split, kind) for kind in ('data', 'camera', 'joint_3d'))
    names = [image['file_name'] for image in data['images']]
    folder = hands / 'images' / split
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.jpg'))
    assert sorted(names) == files and len(files) == (24 if split == 'train' else 8)
    for image, annotation in zip(data['images'], data['annotations'], strict=True):
        assert annotation['image_id'] == image['id']
        place = f'Capture{image["capture"]}/{image["seq_name"]}/cam{image["camera"]}/image{image["frame_idx"]:05d}.jpg'
        assert image['file_name'] == place
        with Image.open(folder / place) as picture:
            assert picture.size == (image['width'], image['height']) == (PICTURE_SIZE, PICTURE_SIZE)
        moment = joints[str(image['capture'])][str(image['frame_idx'])]
        assert annotation['hand_type'] == moment['hand_type'] in TYPES and annotation['hand_type_valid'] == 1
        right, left = annotation['joint_valid'][:21], annotation['joint_valid'][21:]
        assert right == [int(annotation['hand_type'] != 'left')] * 21
        assert left == [int(annotation['hand_type'] != 'right')] * 21
        assert moment['joint_valid'] == [[one] for one in annotation['joint_valid']]
        seen = _projected(image, cameras, moment)[np.array(annotation['joint_valid'], dtype=bool)]
        x, y, w, h = annotation['bbox']
        # A hand is thicker than its joints, of which a sleeve may hide a wrist.
        assert (seen >= (x - 12, y - 12)).all() and (seen <= (x + w + 12, y + h + 12)).all()
        assert (seen.min(axis=0) > (x, y)).sum() + (seen.max(axis=0) < (x + w, y + h)).sum() >= 3
    assert not {image['id'] for image in data['images']} & {
        image['id'] for other in SPLITS if other != split for image in _read(hands, other, 'data')['images']
    }


def _projected(image: dict[str, Any], cameras: Any, moment: Any) -> np.ndarray:
    """InterHand2.6M's formula, by hand: (42, 2) pixels."""
    capture, camera = cameras[str(image['capture'])], image['camera']
    position, rotation = np.array(capture['campos'][camera]), np.array(capture['camrot'][camera])
    seen = np.stack([rotation @ (np.array(joint) - position) for joint in moment['world_coord']])
    return seen[:, :2] / seen[:, 2:] * capture['focal'][camera] + capture['princpt'][camera]


def test_a_frame_is_seen_by_two_of_the_cameras(hands: Path) -> None:
    images = _read(hands, 'train', 'data')['images']
    assert [Shot.of(i).camera for i in range(4)] == [0, 1, 2, 3] and Shot.of(17).capture == 1
    assert [image['frame_idx'] for image in images] == [i // 2 for i in range(24)]
    assert {image['camera'] for image in images} == {str(400_001 + i) for i in range(CAMERAS)}
    assert all(set(rig['focal']) == {str(400_001 + i) for i in range(CAMERAS)}
               for rig in _read(hands, 'train', 'camera').values())


def test_no_photograph_pixel_is_shared(hands: Path) -> None:
    boxes: dict[str, dict[str, list[Box]]] = {photo.path: {'train': [], 'val': []} for photo in PHOTOGRAPHS}
    for split in SPLITS:
        for image in _read(hands, split, 'data')['images']:
            boxes[image['source']['photograph']][split].append(Box(*image['source']['box']))
    assert sum(bool(used['train'] and used['val']) for used in boxes.values()) >= 2
    for used in boxes.values():
        assert not any(one.meets(other) for one in used['train'] for other in used['val'])


def test_same_seed_same_bytes_and_more_leave_the_first_ones(hands: Path, tmp_path: Path) -> None:
    build(tmp_path, plan(['hands'], 'small', num_train=26))
    before, after = _digests(hands), _digests(tmp_path / 'interhand2.6m')
    pictures = [name for name in before if name.endswith('.jpg')]
    assert len(pictures) == 32 and {name: after[name] for name in pictures} == {name: before[name] for name in pictures}
    val = 'annotations/machine_annot/InterHand2.6M_val_joint_3d.json'
    assert after[val] == before[val] and len(after) == len(before) + 2
    build(tmp_path / 'other', plan(['hands'], 'small'), seed=1)
    assert not {before[n] for n in pictures} & set(_digests(tmp_path / 'other/interhand2.6m/images').values())


def test_the_set_is_made_only_where_it_is_asked_for() -> None:
    assert 'hands' not in plan()
    assert plan(['hands'], num_val=3) == {'hands': {'train': 2000, 'val': 3}}
    with pytest.raises(ValueError, match='choose among classification, detection, segmentation, pose, hands'):
        plan(['hand'])


def _dataset(hands: Path, kind: str, split: str) -> Any:
    from mmpose.registry import DATASETS
    from mmpose.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    start = f'annotations/{ANNOTATIONS[split]}/InterHand2.6M_{split}'
    with DefaultScope.overwrite_default_scope('mmpose'):
        settings = dict(
            type=kind, data_root=str(hands), ann_file=f'{start}_data.json', camera_param_file=f'{start}_camera.json',
            joint_file=f'{start}_joint_3d.json', data_prefix={'img': f'images/{split}/'},
            pipeline=[{'type': 'LoadImage'}],
        )  # fmt: skip
        dataset = DATASETS.build(settings)
        return [dataset[i] for i in range(len(dataset))]


def test_mmpose_reads_it_as_interhand3d(hands: Path) -> None:
    samples = _dataset(hands, 'InterHand3DDataset', 'train')
    data, cameras, joints = (_read(hands, 'train', kind) for kind in ('data', 'camera', 'joint_3d'))
    assert len(samples) == 24
    seen = set()
    for sample, image, annotation in zip(samples, data['images'], data['annotations'], strict=True):
        assert sample['img'].shape == (PICTURE_SIZE, PICTURE_SIZE, 3)
        moment = joints[str(image['capture'])][str(image['frame_idx'])]
        visible = sample['keypoints_visible'][0] > 0
        expected = _projected(image, cameras, moment)
        np.testing.assert_allclose(sample['keypoints'][0, visible, :2], expected[visible], atol=0.01)
        # Depths are relative to the wrist of the same hand, in millimetres.
        assert sample['keypoints'][0, [20, 41], 2].tolist() == [0, 0]
        assert np.abs(sample['keypoints'][0, visible, 2]).max() < 200  # what InterNet's heatmaps can tell
        kind = annotation['hand_type']
        assert sample['hand_type'].tolist() == [[float(kind != 'left'), float(kind != 'right')]]
        assert visible[:21].all() == (kind != 'left') and visible[21:].all() == (kind != 'right')
        assert sample['rel_root_valid'] == (kind == 'interacting')
        if kind == 'interacting':
            assert sample['rel_root_depth'] == sample['keypoints_cam'][0, 41, 2] - sample['keypoints_cam'][0, 20, 2]
            assert abs(sample['rel_root_depth']) < 200
        seen.add(kind)
    assert seen == set(TYPES)


def test_mmpose_reads_it_as_interhand2d(hands: Path) -> None:
    samples = _dataset(hands, 'InterHand2DDoubleDataset', 'val')
    assert len(samples) == 8
    for sample in samples:
        assert sample['keypoints'].shape == (1, 42, 2)
        assert sample['keypoints_visible'].sum() == 21 * sample['hand_type'].sum()


def test_the_truth_scores_full_marks(hands: Path) -> None:
    """By mmpose's metric, which takes the predicted pixels and depths back to millimetres through the camera."""
    from mmpose.evaluation.metrics import InterHandMetric

    metric = InterHandMetric()
    samples = _dataset(hands, 'InterHand3DDataset', 'train')
    for sample in samples:
        predicted = {'keypoints': sample['keypoints'].astype(np.float64), 'hand_type': sample['hand_type'],
                     'rel_root_depth': np.array([sample['rel_root_depth']])}  # fmt: skip
        truth = {'keypoints_cam': sample['keypoints_cam'], 'keypoints_visible': sample['keypoints_visible']}
        metric.process([], [{**sample, 'pred_instances': predicted, 'gt_instances': truth}])
    found = metric.compute_metrics(metric.results)
    assert found['HandednessAcc'] == 1
    # Millimetres; single precision at a distance of a metre.
    assert max(found[name] for name in ('MPJPE_all', 'MPJPE_single', 'MPJPE_interacting', 'MRRPE')) < 0.01
