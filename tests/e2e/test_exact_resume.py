"""A run that is killed anywhere and goes on is the run that was never killed, bit for bit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .kills import FILES, HOOKS, Point, same_state, train_until
from .tools import LEAVES, REPO

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


OFTEN = {'before_train_iter': 21, 'after_train_iter': 21, 'after_train_epoch': 1, 'before_val_iter': 6}


def _points(number: int, seed: str, often: dict[str, int]) -> list[Point]:
    """Return points at random, from the first iteration to the last: kinds in turn, so that all of them come.

    Args:
        often: how often each kind is passed in a whole run, at least; 3 times where it is not said.
    """
    drawn = random.Random(seed)
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


def _killed_and_whole(arguments: list[str], last: str, points: list[Point]) -> None:
    """Train once without a break and once for each point, killed there and resumed: all end with the same bits."""
    log = Path('log.txt')
    assert train_until(None, [*arguments, '--work-dir', 'whole'], log) == 0, log.read_text()[-3000:]
    for point in points:
        killed = [*arguments, '--work-dir', f'{point[0]} {point[1]}'.replace(' ', '-')]
        work_dir = Path(killed[-1])
        assert train_until(point, killed, log) == -9, (point, log.read_text()[-3000:])
        assert train_until(None, [*killed, '--resume', 'auto'], log) == 0, (point, log.read_text()[-3000:])
        assert same_state(Path('whole', last), work_dir / last) == [], point
        assert list(work_dir.glob('.unfinished*')) == []
        assert [path.name for path in work_dir.glob('iter_*.pth')] == [last]


@pytest.mark.parametrize('leaf', KINDS, indirect=True, ids=lambda kind: f'{kind[0]}-{kind[1]}')
def test_killed_at_random(leaf: Path, request: pytest.FixtureRequest) -> None:
    _killed_and_whole([str(leaf), '--seed', '7'], LAST, _points(5, request.node.name, OFTEN))


@pytest.mark.slow
@pytest.mark.parametrize('leaf', KINDS, indirect=True, ids=lambda kind: f'{kind[0]}-{kind[1]}')
def test_killed_at_random_more_often(leaf: Path, request: pytest.FixtureRequest) -> None:
    _killed_and_whole([str(leaf), '--seed', '8'], LAST, _points(10, request.node.name, OFTEN))


# The tiny leaf of a task, with its own data and augmentation, for twelve iterations; two are one step.
_TASK_LEAF = """
_base_ = '{base}'
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
optim_wrapper = dict(accumulative_counts=2)
default_hooks = dict(
    checkpoint=dict(_delete_=True, type='CheckpointHook', by_epoch=False, interval=5, max_keep_ckpts=1))
"""
_TASK_OPTIONS = {
    'epoch': ('train_dataloader.dataset.indices=8', 'train_cfg.max_epochs=3', 'train_dataloader.num_workers=2'),
    'iteration': ('train_cfg.max_iters=12', 'train_cfg.val_interval=4', 'train_dataloader.num_workers=2'),
}
_TASK_OFTEN = {'before_train_iter': 12, 'after_train_iter': 12, 'after_train_epoch': 1, 'before_val_iter': 3}


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in LEAVES if name != 'classification'])
def test_every_task_killed_at_random(name: str, workplace: Path) -> None:
    (workplace / 'leaf.py').write_text(_TASK_LEAF.format(base=LEAVES[name].config))
    by_epoch = not any(option.startswith('train_cfg.max_iters') for option in LEAVES[name].options)
    options = [*LEAVES[name].options, *_TASK_OPTIONS['epoch' if by_epoch else 'iteration']]
    precision = ['--amp', 'bf16'] if name in ('upernet', 'pose') else []
    arguments = [str(workplace / 'leaf.py'), '--seed', '7', *precision, '--cfg-options', *options]
    _killed_and_whole(arguments, 'iter_12.pth', _points(10, name, _TASK_OFTEN))
