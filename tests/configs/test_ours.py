"""Rows that are in none of the authors' tables: what they set, what they claim, and what they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from moganet.analysis import count, training_memory

from ..e2e.tools import REPO, TOOLS, call, script
from .leaves import ENTRIES, OURS, build_model, decays, find, read
from .test_recipes import rates

TRAIN = script(TOOLS / 'train.py')
PRETRAINING, FINE_TUNING = 'moganet-xlarge_64xb64-90e_in21k', 'moganet-xlarge_in21k-pre_32xb16-30e_in1k-384px'
# A detector's figures take minutes and gigabytes; tests/analysis/test_memory.py counts a small one.
COUNTED = [leaf for leaf in OURS if 'Memory' in ENTRIES[leaf] and not leaf.startswith('detection')]


@pytest.mark.parametrize('leaf', OURS)
def test_entry_claims_no_result(leaf: str) -> None:
    entry = ENTRIES[leaf]
    assert not {'Results', 'Released', 'Weights', 'As Printed', 'Measured'} & set(entry)
    assert {'Source', 'Framework'} <= set(entry['Recipe'])
    assert {'Parameters', 'FLOPs', 'Input'} <= set(entry['Metadata'])


@pytest.mark.parametrize('leaf', OURS)
def test_sizes(leaf: str) -> None:
    data = ENTRIES[leaf]['Metadata']
    height, width = map(int, data['Input'].split('x'))
    found = count(read(leaf), (height, width))
    assert (found.parameters, found.macs) == (data['Parameters'], data['FLOPs'])


@pytest.mark.parametrize('leaf', OURS)
def test_memory_comes_with_its_command(leaf: str) -> None:
    entry = ENTRIES[leaf]
    assert ('Memory' in entry) == ('Training Memory (GB)' in entry['Metadata'])
    if 'Memory' not in entry:
        return
    memory = entry['Memory']
    assert memory['Command'] == f'python tools/analysis_tools/get_memory.py configs/{leaf}'
    assert 0 < memory['With Checkpointing'] < memory['Without Checkpointing']
    used = 'With Checkpointing' if read(leaf).model.backbone.get('with_cp') else 'Without Checkpointing'
    assert entry['Metadata']['Training Memory (GB)'] == memory[used]


# Two; the others with `make test-slow`.
QUICK = ('moganet-t_sem-fpn_1xb8-20k_custom', 'td-hm_moganet-t_1xb64-accum4')


@pytest.mark.parametrize('leaf', [
    pytest.param(leaf, marks=() if any(part in leaf for part in QUICK) else pytest.mark.slow) for leaf in COUNTED])
def test_memory(leaf: str) -> None:
    cfg, memory = read(leaf), ENTRIES[leaf]['Memory']
    assert round(training_memory(cfg).peak / 1e9, 1) == memory['Without Checkpointing']
    cfg.model.backbone.with_cp = True
    assert round(training_memory(cfg).peak / 1e9, 1) == memory['With Checkpointing']


def test_pretraining_on_21k() -> None:
    """ConvNeXt, table of its appendix A: the column of ImageNet-22K."""
    cfg = read(find(PRETRAINING))
    settings = cfg.optim_wrapper.optimizer
    assert (settings.type, settings.lr, settings.weight_decay) == ('AdamW', 4e-3, 0.05)
    assert cfg.train_cfg.max_epochs == 90 and cfg.auto_scale_lr.base_batch_size == 4096
    assert cfg.model.backbone.drop_path_rate == 0.2 and 'clip_grad' not in cfg.optim_wrapper
    assert [(a.type, a.alpha) for a in cfg.model.train_cfg.augments] == [('Mixup', 0.8), ('CutMix', 1.0)]
    assert 'EMAHook' not in {hook.type for hook in cfg.custom_hooks}
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert (steps['RandAugment'].magnitude_level, steps['RandAugment'].magnitude_std) == (9, 0.5)
    assert steps['RandomErasing'].erase_prob == 0.25 and steps['RandomResizedCrop'].scale == 224
    found = rates(cfg, 90, by_epoch=True)
    assert found[0] == pytest.approx(4e-9) and found[5] == max(found) == pytest.approx(4e-3, rel=1e-2)
    assert found[-1] == pytest.approx(1e-6, rel=2)  # the last of 85 epochs, a step before the lowest rate
    model = build_model(cfg, 'meta')
    assert model.head.fc.weight.shape == (21841, 960) and model.head.loss_module.label_smooth_val == 0.1
    spared = decays(cfg, model)
    assert spared['backbone.blocks1.0.layer_scale_1'] == spared['backbone.norm1.weight'] == spared['head.fc.bias'] == 0
    assert spared['head.fc.weight'] == 0.05


def test_fine_tuning_at_384() -> None:
    cfg = read(find(FINE_TUNING))
    settings = cfg.optim_wrapper.optimizer
    assert (settings.type, settings.lr, settings.weight_decay) == ('AdamW', 5e-5, 1e-8)
    assert cfg.optim_wrapper.paramwise_cfg == {'layer_decay_rate': 0.8}
    assert cfg.train_cfg.max_epochs == 30 and cfg.auto_scale_lr.base_batch_size == 512
    assert cfg.model.backbone.drop_path_rate == 0.4 and cfg.model.train_cfg is None  # neither mixup nor CutMix
    found = rates(cfg, 30, by_epoch=True)
    assert found[0] == max(found) == 5e-5 and found[-1] < 2e-6
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert [step.type for step in pipeline] == [
        'LoadImageFromFile', 'RandomResizedCrop', 'RandomFlip', 'RandAugment', 'RandomErasing', 'PackInputs']
    assert pipeline[1].scale == 384 and pipeline[3].magnitude_level == 9
    assert [step.get('scale') for step in cfg.test_dataloader.dataset.pipeline] == [None, (384, 384), None]
    cfg.model.backbone.update(arch='xtiny', init_cfg=None)
    cfg.model.head.in_channels = 192
    model = build_model(cfg)
    model.init_weights()
    # 192,000 draws: the sample's deviation is within 1 % of 0.02 x 0.001.
    assert model.head.fc.weight.std().item() == pytest.approx(2e-5, rel=0.01)


def test_fine_tuning_starts_from_the_pretraining_alone(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its weights are where the other config leaves them; without them a run is refused before it starts."""
    cfg = read(find(FINE_TUNING))
    weights = f'work_dirs/{PRETRAINING}/epoch_{read(find(PRETRAINING)).train_cfg.max_epochs}.pth'
    assert cfg.model.backbone.init_cfg == {'type': 'Pretrained', 'checkpoint': weights, 'prefix': 'backbone.'}
    monkeypatch.chdir(tmp_path)
    roots = [f'{split}_dataloader.dataset.data_root={tiny / "imagenet"}' for split in ('train', 'val')]
    small = ['model.backbone.arch=xtiny', 'model.head.in_channels=192']
    assert call(TRAIN.main, REPO / 'configs' / find(FINE_TUNING), '--cfg-options', *roots, *small) == 2
    assert f'error: no such checkpoint: {weights}' in capfd.readouterr().err
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize('part, benchmark', [
    ('moganet-tiny_1xb64-30e_custom', 'moganet-tiny_8xb128_in1k.py'),
    ('retinanet_moganet-t_fpn_1xb2-1x_custom-coco', 'retinanet_moganet-t_fpn_1x_coco'),
    ('/cascade-rcnn_moganet-t_fpn_1xb2-1x_custom-coco', '/mask-rcnn_moganet-t_fpn_1x_coco'),
    ('moganet-t_sem-fpn_1xb8-20k_custom', 'moganet-t_sem-fpn_8xb4-80k'),
])
def test_custom_rates_follow_the_linear_rule(part: str, benchmark: str) -> None:
    ours, theirs = read(find(part)), read(find(benchmark))
    scale = ours.auto_scale_lr.base_batch_size / theirs.auto_scale_lr.base_batch_size
    assert ours.optim_wrapper.optimizer.lr == pytest.approx(theirs.optim_wrapper.optimizer.lr * scale)
    end = max(scheduler.end for scheduler in ours.param_scheduler)
    assert end >= (ours.train_cfg.get('max_epochs') or ours.train_cfg.max_iters)
