"""Every leaf config: its form, its name, and what it is made of."""

import re
from fnmatch import fnmatch

import pytest

from moganet.models.backbones import VARIANTS

from .leaves import BENCHMARKS, CONFIGS, LEAVES, TASKS, TINY, arch_of, read

# One part a field of the name; GPUs x batch may be left out, which means 8 x 2.
_NAME = re.compile(r'^[a-z0-9-]+(_[a-z0-9-]+)*\.py$')
_BATCH = re.compile(r'_(\d+)xb(\d+)[_-]')


def test_every_task_has_a_benchmark_and_a_tiny_leaf():
    for task in TASKS:
        assert any(leaf.startswith(task) for leaf in BENCHMARKS)
        assert any(leaf.startswith(task) for leaf in TINY)


@pytest.mark.parametrize('leaf', LEAVES)
def test_form(leaf):
    assert _NAME.match(leaf.split('/')[1])
    assert len((CONFIGS / leaf).read_text(encoding='utf-8').splitlines()) <= 40
    cfg = read(leaf)
    # The toolboxes' own train.py knows of MogaNet by this alone.
    assert cfg.custom_imports == dict(imports=['moganet'], allow_failed_imports=False)
    assert cfg.default_scope == dict(zip(TASKS, ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')))[leaf.split('/')[0]]
    backbone = cfg.model.backbone
    assert backbone.type == 'MogaNet'
    # As the authors trained: nothing frozen, BN in training mode.
    assert not {'frozen_stages', 'norm_eval', 'norm_cfg'} & set(backbone)
    # ImageNet-21K has no validation set.
    parts = ('train',) if leaf.endswith('_in21k.py') else ('train', 'val', 'test')
    for part in parts:
        assert cfg[f'{part}_dataloader'] and cfg[f'{part}_cfg'] is not None
    for part in {'train', 'val', 'test'} - set(parts):
        assert cfg[f'{part}_dataloader'] is None and cfg[f'{part}_cfg'] is None and cfg[f'{part}_evaluator'] is None


@pytest.mark.parametrize('leaf', LEAVES)
def test_batch_in_the_name(leaf):
    named = _BATCH.search(leaf)
    processes, batch = map(int, named.groups()) if named else (8, 2)
    cfg = read(leaf)
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.auto_scale_lr.base_batch_size == processes * batch


@pytest.mark.parametrize('leaf', LEAVES)
def test_length_in_the_name(leaf):
    cfg = read(leaf)
    parts = re.search(r'[-_](\d+)(e|k|iter)_', leaf)
    times = re.search(r'[-_](\dx)_(custom-)?coco\.py$', leaf)
    if times:
        assert cfg.train_cfg.max_epochs == {'1x': 12, '3x': 36}[times[1]]
    elif parts and parts[2] == 'e':
        assert cfg.train_cfg.max_epochs == int(parts[1])
    elif parts:
        assert cfg.train_cfg.max_iters == int(parts[1]) * {'k': 1000, 'iter': 1}[parts[2]]
    else:
        # ImageNet's names leave out the recipe's usual length; timm adds 10 epochs at the lowest rate to its 300.
        recipe = re.search(r'xb\d+(?:-accum\d+)?(?:-([\w-]+))?_in1k(-\d+px)?\.py$', leaf)[1]
        assert cfg.train_cfg.max_epochs == {None: 310, 'refined': 300, 'rsb-a3': 100}[recipe]


@pytest.mark.parametrize('leaf', LEAVES)
def test_widths_fit_the_arch_in_the_name(leaf):
    model = read(leaf).model
    assert model.backbone.arch == arch_of(leaf)
    widths = list(VARIANTS[arch_of(leaf)].embed_dims)
    neck = model.get('neck') or {}
    if neck.get('type') == 'FPN':
        assert neck.in_channels == widths
    elif 'decode_head' in model:
        assert model.decode_head.in_channels == widths and model.auxiliary_head.in_channels == widths[2]
    else:
        last = model.backbone.get('out_indices', [3])[-1]
        # InterNet's head has parts, which all take the same map.
        parts = [part for name, part in model.head.items() if name.endswith('_head_cfg')] or [model.head]
        assert [part.in_channels for part in parts] == [widths[last]] * len(parts)


@pytest.mark.parametrize('leaf', TINY)
def test_tiny_leaves_need_no_download(leaf):
    cfg = read(leaf)
    assert cfg.model.backbone.get('init_cfg') is None and cfg.load_from is None


@pytest.mark.parametrize('leaf', [leaf for leaf in LEAVES if '-accum' in leaf])
def test_accumulation_in_the_name(leaf):
    """The optimizer steps for the benchmark's batch; what counts iterations is longer by the same factor."""
    cfg, times = read(leaf), int(re.search(r'-accum(\d+)', leaf)[1])
    assert cfg.optim_wrapper.accumulative_counts == times
    pattern = re.sub(r'_1xb\d+-accum\d+(?:-\w+)?_', '_*_', leaf).replace('fpn_*_coco', 'fpn_1x_coco')
    (benchmark,) = [other for other in BENCHMARKS if fnmatch(other, pattern)]
    base = read(benchmark)
    assert times * cfg.auto_scale_lr.base_batch_size == base.auto_scale_lr.base_batch_size
    assert cfg.optim_wrapper.optimizer == base.optim_wrapper.optimizer
    processes = base.auto_scale_lr.base_batch_size // base.train_dataloader.batch_size
    # Iterations of all pictures together: an epoch's are the set's size over the batch.
    grown = {True: 1, False: times}
    assert len(cfg.param_scheduler) == len(base.param_scheduler) and processes == 8
    for ours, theirs in zip(cfg.param_scheduler, base.param_scheduler):
        assert ours.end == theirs.end * grown[ours.by_epoch]
    for key in ('max_epochs', 'max_iters', 'val_interval'):
        by_epoch = 'max_epochs' in base.train_cfg
        assert cfg.train_cfg.get(key) == (base.train_cfg[key] * grown[by_epoch] if key in base.train_cfg else None)
    if 'max_iters' in base.train_cfg:
        assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval
