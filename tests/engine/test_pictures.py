from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from moganet import compat
from moganet.engine.drawing import enlarge, merged_pose
from moganet.engine.hooks.pictures import PictureHook


class Visualizer:
    """Stand in for a toolbox's visualizer: two halves of what it was given."""

    dataset_meta = {'palette': [[1, 2, 3]]}

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def add_datasample(
        self, name: str, image: np.ndarray, sample: Any, draw_gt: bool, out_file: str, **more: Any
    ) -> None:
        assert draw_gt and isinstance(self.dataset_meta['palette'][0], tuple)
        self.drawn.append(name)
        cv2.imwrite(out_file, np.concatenate([image, image], axis=1))


def _runner(count: int, rank: int = 0, world_size: int = 1) -> Any:
    loader = SimpleNamespace(dataset=range(count))
    return SimpleNamespace(test_dataloader=loader, rank=rank, world_size=world_size, visualizer=Visualizer())


def _samples(folder: Path, count: int) -> list[BaseDataElement]:
    samples = []
    for index in range(count):
        path = folder / f'{index // 2}.png'  # two samples of each picture, as two people
        cv2.imwrite(str(path), np.full((40, 50, 3), 90, np.uint8))
        samples.append(BaseDataElement(metainfo={'img_path': str(path)}))
    return samples


def _run(hook: PictureHook, runner: Any, samples: list[Any]) -> None:
    hook.before_test_epoch(runner)
    for start in range(0, len(samples), 3):
        hook.after_test_iter(runner, start // 3, None, samples[start : start + 3])
    hook.after_test_epoch(runner)


def test_hook_is_found_by_name_and_checks_its_limit(tmp_path: Path) -> None:
    assert isinstance(HOOKS.build({'type': 'PictureHook', 'out_dir': str(tmp_path)}), PictureHook)
    with pytest.raises(ValueError, match='limit=0'):
        PictureHook(str(tmp_path), limit=0)


def test_every_sample_gets_a_picture_of_its_own_that_can_be_read(tmp_path: Path) -> None:
    hook = PictureHook(str(tmp_path / 'out' / 'pictures'))
    _run(hook, _runner(6), _samples(tmp_path, 6))
    names = sorted(path.name for path in (tmp_path / 'out' / 'pictures').iterdir())
    parent = tmp_path.name
    assert names == sorted(f'{parent}_{i}{suffix}.png' for i in range(3) for suffix in ('', '_2'))
    height, width = cv2.imread(str(hook.written[0])).shape[:2]
    assert (height, width) == (40 * 8 + 24, 50 * 8 * 2)  # enlarged by a whole factor to 320 at least, and the caption


def test_pictures_are_spread_over_the_test_set(tmp_path: Path) -> None:
    hook = PictureHook(str(tmp_path / 'out'), limit=3)
    runner = _runner(8)
    _run(hook, runner, _samples(tmp_path, 8))
    assert [name.rsplit('_', 1)[1] for name in runner.visualizer.drawn] == ['0', '1', '3']  # samples 0, 3, 6


def test_of_several_processes_the_first_draws(tmp_path: Path) -> None:
    second = _runner(8, rank=1, world_size=2)
    hook = PictureHook(str(tmp_path / 'out'))
    _run(hook, second, _samples(tmp_path, 4))
    assert not second.visualizer.drawn and not (tmp_path / 'out').exists()


def test_a_visualizer_that_cannot_draw_is_refused_before_the_first_sample(tmp_path: Path) -> None:
    class Pose3dLocalVisualizer(Visualizer):
        """By the name of mmpose's."""

    runner = _runner(4)
    runner.visualizer = Pose3dLocalVisualizer()
    with pytest.raises(ValueError, match='visualizer.type=PoseLocalVisualizer draws them'):
        PictureHook(str(tmp_path / 'out')).before_test_epoch(runner)
    assert not (tmp_path / 'out').exists()


def test_hands_are_drawn_in_the_picture_and_only_where_they_are_found() -> None:
    """InterNet's 2 x 21 joints of pixels and millimetres, on a picture of a left hand."""
    from mmpose.structures import PoseDataSample

    joints = np.arange(126.0).reshape(1, 42, 3)
    sample = PoseDataSample()
    sample.gt_instances = InstanceData(keypoints=joints, keypoints_visible=np.ones((1, 42)))
    sample.pred_instances = InstanceData(
        keypoints=joints + 1, keypoint_scores=np.full((1, 42), 90.0), hand_type=np.array([[0, 1]])
    )
    drawn = merged_pose(sample)
    np.testing.assert_array_equal(drawn.gt_instances.keypoints, joints[..., :2])
    np.testing.assert_array_equal(drawn.pred_instances.keypoints, joints[..., :2] + 1)
    assert drawn.pred_instances.keypoints_visible.tolist() == [[0.0] * 21 + [90.0] * 21]
    assert sample.pred_instances.keypoints.shape == (1, 42, 3)  # a metric may hold it


def test_enlarge_moves_what_lies_on_the_image_and_copies() -> None:
    masks = torch.tensor([[[True, False]]])
    sample = BaseDataElement()
    sample.pred_instances = InstanceData(bboxes=torch.tensor([[1.0, 2, 3, 4]]), scores=torch.ones(1), masks=masks)
    sample.gt_instances = InstanceData(keypoints=np.array([[[5.0, 6.0]]]))
    sample.gt_sem_seg = PixelData(data=torch.tensor([[[1, 2]]]))
    large = enlarge(sample, 2)
    assert large.pred_instances.bboxes.tolist() == [[2, 4, 6, 8]] and large.pred_instances.scores.tolist() == [1]
    assert large.pred_instances.masks.tolist() == [[[True, True, False, False]] * 2]
    assert large.gt_instances.keypoints.tolist() == [[[10, 12]]]
    assert large.gt_sem_seg.data.tolist() == [[[1, 1, 2, 2]] * 2]
    assert sample.pred_instances.bboxes.tolist() == [[1, 2, 3, 4]] and sample.gt_sem_seg.data.shape == (1, 1, 2)


def test_radius_reaches_mmposes_visualizer_as_a_number() -> None:
    class Dots:
        def draw_circles(self, center: Any, radius: Any) -> tuple[Any, int]:
            return center, int(radius)

    dots: Any = Dots()
    compat.plain_radius(dots)
    compat.plain_radius(dots)
    assert dots.draw_circles((1, 2), np.array([4])) == ((1, 2), 4)
    assert dots.draw_circles((1, 2), radius=3) == ((1, 2), 3)
