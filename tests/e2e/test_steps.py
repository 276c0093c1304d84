"""A step of two processes is that of one that accumulates the gradients of the same two batches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from .ranks import run_ranks
from .tools import LEAVES

# Four pictures are a batch; the one process gets those of the first process of two, then those of the second: norms in
# the heads, and losses that are divided by the positives of a batch, see the batch as a whole. No augmentation, nothing
# random. The rate is so large that nothing of the weights but the step is left after it.
_STEP = """
_base_ = {base!r}
custom_imports = dict(imports=['moganet', 'halves'], allow_failed_imports=False)
model = dict(backbone=dict(norm_eval=True, drop_path_rate=0.0, layer_scale_init_value=0.1){more})
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, sampler=dict(_delete_=True, type='Halves'),
    dataset=dict(indices=8{pipeline}))
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters={iterations}, val_interval=9)
val_cfg = val_dataloader = val_evaluator = param_scheduler = None
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=1e6), accumulative_counts={iterations})
default_hooks = dict(checkpoint=dict(_delete_=True, type='CheckpointHook', interval=-1, by_epoch=False))
custom_hooks = []
"""
_HALVES = """
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS

@DATA_SAMPLERS.register_module()
class Halves(DefaultSampler):
    def __init__(self, dataset, seed=None):
        super().__init__(dataset, shuffle=False)

    def __iter__(self):
        size = len(self.dataset)
        return iter([*range(0, size, 2), *range(1, size, 2)] if self.world_size == 1 else range(self.rank, size, 2))
"""
_DIGITS = ", pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), dict(type='PackInputs')]"
_NO_FLIP = """, pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]"""
_POSE = """, pipeline=[
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(96, 128)),
    dict(type='GenerateTarget', encoder=dict(
        type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)),
    dict(type='PackPoseInputs')]"""
TASKS = {
    'classification': ('', _DIGITS),
    'retinanet': ('', _NO_FLIP),
    'sem-fpn': (', decode_head=dict(dropout_ratio=0.0)', ''),
    'pose': ('', _POSE),
}
# Mask R-CNN draws the regions that it learns from at random, each process for itself: it has no such twin.


def keeps_step(name: str, runner: Any, given: dict[str, Any]) -> None:
    """Save the step that the weights have taken."""
    if name == 'before_train':
        runner.before = {key: value.detach().clone() for key, value in _named(runner)}
    if name == 'after_train':
        step = {key: value.detach() - runner.before[key] for key, value in _named(runner)}
        torch.save(step, f'step{os.environ["WORLD_SIZE"]}{os.environ["RANK"]}.pth')


def _named(runner: Any) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in runner.model.module.named_parameters() if value.requires_grad]


@pytest.mark.parametrize(
    'task', [name if name == 'classification' else pytest.param(name, marks=pytest.mark.slow) for name in TASKS]
)
def test_two_processes_take_the_step_of_one(workplace: Path, task: str) -> None:
    (workplace / 'halves.py').write_text(_HALVES)
    more, pipeline = TASKS[task]
    for processes in (1, 2):
        text = _STEP.format(base=str(LEAVES[task].config), more=more, pipeline=pipeline, iterations=2 // processes)
        (workplace / f'step{processes}.py').write_text(text)
        faults = dict.fromkeys(range(processes), keeps_step)
        arguments = (f'step{processes}.py', '--seed', '3', '--work-dir', f'run{processes}')
        codes, logs = run_ranks('train', *arguments, faults=faults, processes=processes)
        assert codes == [0] * processes, logs
    one, first, second = (torch.load(f'step{name}.pth') for name in ('10', '20', '21'))
    assert sum(float(value.norm()) > 0 for value in one.values()) > 100
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        # Seen: not a bit; the mean of two gradients is exact in float32, wherever it is taken.
        assert float((first[name] - value).norm()) <= 1e-5 * float(value.norm()), name
