"""A run that is killed anywhere and goes on is the run that was never killed, bit for bit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .kills import FILES, HOOKS, Point, same_state, train_until
from .tools import REPO

# Every layer of a MogaNet, with all that draws random numbers: stochastic depth, mixing, pictures cut at random. Twenty
# iterations, seven to an epoch; gradients of three are one step, so that most checkpoints have some under way.
_LEAF = """
_base_ = '{base}'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=[8, 8, 16, 16], depths=[1, 1, 1, 1], ffn_ratios=[2, 2, 2, 2]),
        drop_path_rate=0.3),
    head=dict(in_channels=16),
    train_cfg=dict(_delete_=True, augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
train_dataloader = dict(batch_size=4, num_workers={workers}, dataset=dict(indices=28), {sampler})
val_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=8))
train_cfg = dict({loop})
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=20)]
optim_wrapper = dict(accumulative_counts=3)
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(
        _delete_=True, type='CheckpointHook', by_epoch=False, interval=4, max_keep_ckpts=1, save_best='auto'))
"""
LOOPS = {
    'epoch': ('max_epochs=3, val_interval=1', ''),
    'iteration': (
        "_delete_=True, type='IterBasedTrainLoop', max_iters=21, val_interval=7",
        "sampler=dict(type='InfiniteSampler')",
    ),
}
LAST = 'iter_21.pth'
KINDS = [(loop, workers) for loop in LOOPS for workers in (0, 2)]


def _points(number: int, seed: str) -> list[Point]:
    """Return points at random, from the first iteration to the last: kinds in turn, so that all of them come."""
    drawn = random.Random(seed)
    often = {'before_train_iter': 21, 'after_train_iter': 21, 'after_train_epoch': 1, 'before_val_iter': 6}
    kinds = (*HOOKS, *FILES)
    first = drawn.randrange(len(kinds))
    return [
        (kind, drawn.randint(1, often.get(kind, 3)))
        for kind in (kinds[(first + number) % len(kinds)] for number in range(number))
    ]


@pytest.fixture
def leaf(workplace: Path, request: pytest.FixtureRequest) -> Path:
    loop, workers = request.param
    base = REPO / 'configs/classification/moganet-xtiny_1xb32-5e_tiny-imagenet-64px.py'
    cfg, sampler = LOOPS[loop]
    (workplace / 'leaf.py').write_text(_LEAF.format(base=base, workers=workers, loop=cfg, sampler=sampler))
    return workplace / 'leaf.py'


@pytest.mark.parametrize('leaf', KINDS, indirect=True, ids=lambda kind: f'{kind[0]}-{kind[1]}')
def test_killed_at_random(leaf: Path, request: pytest.FixtureRequest) -> None:
    arguments = [str(leaf), '--seed', '7', '--work-dir']
    log = Path('log.txt')
    assert train_until(None, [*arguments, 'whole'], log) == 0, log.read_text()[-3000:]
    for point in _points(5, request.node.name):
        work_dir = f'{point[0]} {point[1]}'.replace(' ', '-')
        assert train_until(point, [*arguments, work_dir], log) == -9, (point, log.read_text()[-3000:])
        assert train_until(None, [*arguments, work_dir, '--resume', 'auto'], log) == 0, (point, log.read_text()[-3000:])
        assert same_state(Path('whole', LAST), Path(work_dir, LAST)) == [], point
        assert [path.name for path in Path(work_dir).glob('.unfinished*')] == []
        assert len(list(Path(work_dir).glob('iter_*.pth'))) == 1
