"""A config of our own, small enough to be prepared and started within a test."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from moganet.engine.launch import TestOptions, TrainOptions, prepare_testing, prepare_training, start

CONFIG = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['moganet'], allow_failed_imports=False)
narrow = dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))
model = dict(
    type='ImageClassifier',
    backbone=dict(type='MogaNet', arch=narrow, norm_cfg=dict(type='SyncBN')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=8))
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]
data = dict(type='CustomDataset', data_root='data/tiny/imagenet', pipeline=pipeline, indices=8)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_prefix='train', **data))
test_dataloader = dict(
    batch_size=4, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix='val', **data))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
test_evaluator = dict(type='Accuracy', topk=(1,))
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
auto_scale_lr = dict(base_batch_size=8)
"""


@pytest.fixture
def config(workplace: Path) -> str:
    (workplace / 'narrow.py').write_text(CONFIG)
    return 'narrow.py'


def test_a_prepared_config_is_whole(config: str, workplace: Path) -> None:
    plan = prepare_training(TrainOptions(config, seed=5, deterministic=True, auto_scale_lr=True))
    cfg = plan.cfg
    assert cfg.work_dir == str(workplace / 'work_dirs' / 'narrow') and list(Path(cfg.work_dir).iterdir()) == []
    assert cfg.randomness == {'seed': 5, 'deterministic': True}
    assert cfg.auto_scale_lr == {'base_batch_size': 8, 'enable': True}
    # As mmpretrain's own train.py fills them in; torch refuses persistent workers where there are none.
    assert cfg.train_dataloader.persistent_workers is False and cfg.test_dataloader.persistent_workers is True
    assert cfg.train_dataloader.collate_fn == {'type': 'default_collate'}
    assert cfg.launcher == 'none' and 'model_wrapper_cfg' not in cfg
    assert plan.parameters > 1000


def test_work_dir_of_the_config_gives_way_to_the_option(config: str, workplace: Path) -> None:
    options = {'work_dir': 'from_config'}
    assert prepare_training(TrainOptions(config, cfg_options=options)).cfg.work_dir == str(workplace / 'from_config')
    plan = prepare_training(TrainOptions(config, work_dir='given', cfg_options=options))
    assert plan.cfg.work_dir == str(workplace / 'given')


def test_several_processes_on_a_cpu(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '0')
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    plan = prepare_training(TrainOptions(config, launcher='pytorch'))
    assert plan.cfg.model.backbone.norm_cfg.type == 'BN' and plan.notes == [
        'no CUDA: SyncBN runs as BN, each process by itself'
    ]
    assert plan.cfg.model_wrapper_cfg.device_ids is None
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    with pytest.raises(ValueError, match='2 processes for 1 GPU'):
        prepare_training(TrainOptions(config, launcher='pytorch'))


def test_train_then_test_in_one_process(
    config: str, workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = start(prepare_training(TrainOptions(config, seed=0, amp='bf16', auto_scale_lr=True)))
    console = next(handler for handler in runner.logger.handlers if not isinstance(handler, logging.FileHandler))
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'] == [0.05]  # batch 4 of 8
    log = next((workplace / 'work_dirs' / 'narrow').glob('*/*.log')).read_text()
    assert 'System environment:' in log and 'narrow = dict' in log
    assert any(type(existing).__name__ == 'ConsoleFilter' for existing in console.filters)
    printed = capsys.readouterr().out
    assert 'System environment:' not in printed and 'Hooks will be executed' not in printed

    checkpoint = str(workplace / 'work_dirs' / 'narrow' / 'epoch_1.pth')
    # MMEngine names what it keeps of a run by config and second.
    named = {'experiment_name': 'test'}
    wanted = {'work_dir': 'tested', 'show_dir': 'pictures', 'out': 'out.pkl', 'cfg_options': named}
    metrics = start(prepare_testing(TestOptions(config, checkpoint=checkpoint, tta=True, **wanted))).test()
    assert set(metrics) == {'accuracy/top1'}
    assert len(list((workplace / 'pictures').glob('*.png'))) == 8 and (workplace / 'out.pkl').is_file()

    resumed = prepare_training(TrainOptions(config, resume='auto'))
    assert resumed.cfg.load_from == checkpoint and resumed.cfg.resume is True
    assert resumed.notes == [f'resuming from {checkpoint}']
    (workplace / 'work_dirs' / 'narrow').rename(workplace / 'moved')
    resumed = prepare_training(TrainOptions(config, resume='auto', work_dir='moved'))
    assert Path(resumed.cfg.load_from) == Path('moved') / 'epoch_1.pth'


def test_resume_without_a_checkpoint_starts_anew_and_says_so(config: str) -> None:
    plan = prepare_training(TrainOptions(config, resume='auto'))
    assert plan.cfg.resume is False and 'has no checkpoint yet' in plan.notes[0]


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        ({'model.head.in_channels': 'x'}, 'the model cannot be built: '),
        ({'model.head.num_class': 3}, "the model cannot be built: TypeError: .*'num_class'"),
        ({'model.backbone.with_cp': True, 'model.neck.type': 'MogaNeck'}, "'MogaNeck'"),
    ],
)
def test_a_model_that_cannot_be_built(options: dict[str, Any], told: str, config: str, workplace: Path) -> None:
    with pytest.raises((ValueError, KeyError), match=told):
        prepare_training(TrainOptions(config, cfg_options=options))
    assert not (workplace / 'work_dirs').exists()
