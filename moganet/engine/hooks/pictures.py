"""Pictures of predictions beside the truth, alike for all four toolboxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS

from ..drawing import check_visualizer, draw, draws_poses


@HOOKS.register_module()
class PictureHook(Hook):
    """Write a picture of each chosen test sample: truth at the left, prediction at the right.

    The toolboxes' own hooks differ in what they draw (mmpose: predictions alone), where they write and what they call
    it. This one hands each sample to the toolbox's own visualizer and puts all files into one folder. Of several
    processes the first draws, from its share of the test set.

    Args:
        out_dir: the folder for the pictures.
        limit: how many to write at most, spread evenly over the test set.
        score_thr: detections below this score are not drawn.
    """

    priority = 'LOW'

    def __init__(self, out_dir: str, limit: int = 50, score_thr: float = 0.3) -> None:
        if limit < 1:
            raise ValueError(f'limit={limit}: at least one picture is needed')
        self.out_dir = Path(out_dir)
        self.limit = limit
        self.score_thr = score_thr
        self.written: list[Path] = []

    def before_test_epoch(self, runner: Any) -> None:
        """Choose how many samples to pass over between two pictures.

        Raises:
            ValueError: the visualizer cannot draw them, see :func:`check_visualizer`.
        """
        check_visualizer(type(runner.visualizer).__name__)
        self.written = []
        self._seen = 0
        share = math.ceil(len(runner.test_dataloader.dataset) / runner.world_size)
        self._step = max(1, math.ceil(share / self.limit))
        if runner.rank == 0:
            self.out_dir.mkdir(parents=True, exist_ok=True)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the chosen samples of one batch."""
        for sample in outputs or ():
            if self._seen % self._step == 0 and runner.rank == 0:
                self._draw(runner, sample)
            self._seen += 1

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Say where the pictures are."""
        if self.written:
            print_log(f'{len(self.written)} pictures written to {self.out_dir}', logger='current')

    def _draw(self, runner: Any, sample: Any) -> None:
        import mmcv

        source = Path(sample.get('img_path') or f'{self._seen}.png')
        image = mmcv.imread(str(source), channel_order='rgb')
        path = self._free_name(f'{source.parent.name}_{source.stem}')
        if draws_poses(runner.visualizer):
            runner.visualizer.set_dataset_meta(runner.test_evaluator.dataset_meta)
        draw(runner.visualizer, image, sample, path, score_thr=self.score_thr)
        self.written.append(path)

    def _free_name(self, stem: str) -> Path:
        """Return a name that this run has not used: pose has several samples of one image."""
        path, number = self.out_dir / f'{stem}.png', 1
        while path in self.written:
            number += 1
            path = self.out_dir / f'{stem}_{number}.png'
        return path
