"""A config of our own, small enough to be prepared and started within a test."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from moganet import MogaNet
from moganet.checkpoints import open_checkpoint
from moganet.engine.launch import TestOptions, TrainOptions, finish, prepare_testing, prepare_training, start

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
    for name in ('RANK', 'SIZE', 'LOCAL_RANK'):
        monkeypatch.setenv(f'OMPI_COMM_WORLD_{name}', '0')
    monkeypatch.setenv('OMPI_COMM_WORLD_LOCAL_SIZE', '3')
    with pytest.raises(ValueError, match='3 processes for 1 GPU'):
        prepare_training(TrainOptions(config, launcher='mpi'))


def test_processes_leave_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish()  # a process alone has no group to leave
    waited: list[bool] = []
    distributed = torch.distributed
    distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    monkeypatch.setattr(distributed, 'barrier', lambda: waited.append(distributed.is_initialized()))
    finish()
    assert waited == [True] and not distributed.is_initialized()


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
    assert open_checkpoint(checkpoint).data['meta']['gate_act_twice'] is False
    # MMEngine names what it keeps of a run by config and second.
    named = {'experiment_name': 'test'}
    wanted = {'work_dir': 'tested', 'show_dir': 'pictures', 'out': 'out.pkl', 'cfg_options': named}
    metrics = start(prepare_testing(TestOptions(config, checkpoint=checkpoint, tta=True, **wanted))).test()
    assert set(metrics) == {'accuracy/top1'}
    assert len(list((workplace / 'pictures').glob('*.png'))) == 8 and (workplace / 'out.pkl').is_file()

    resumed = prepare_training(TrainOptions(config, resume='auto'))
    assert resumed.cfg.load_from == f'moganet://{checkpoint}' and resumed.cfg.resume is True
    assert resumed.notes == [f'resuming from {checkpoint}']
    (workplace / 'work_dirs' / 'narrow').rename(workplace / 'moved')
    resumed = prepare_training(TrainOptions(config, resume='auto', work_dir='moved'))
    assert resumed.cfg.load_from == f'moganet://{workplace}/moved/epoch_1.pth'


def _save_weights(path: Path) -> None:
    """Save a classifier's weights, under the names that the config's model has."""
    backbone = MogaNet(dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2)))
    weights = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
    weights |= {'head.fc.weight': torch.zeros(10, 8), 'head.fc.bias': torch.zeros(10)}
    torch.save({'state_dict': weights}, path)


def test_resume_without_a_checkpoint_starts_anew_and_says_so(config: str) -> None:
    plan = prepare_training(TrainOptions(config, resume='auto'))
    assert plan.cfg.resume is False and 'has no checkpoint yet' in plan.notes[0]


def test_resume_without_a_checkpoint_keeps_the_weights_to_start_from(config: str, workplace: Path) -> None:
    _save_weights(workplace / 'weights.pth')
    plan = prepare_training(TrainOptions(config, resume='auto', cfg_options={'load_from': 'weights.pth'}))
    assert plan.cfg.resume is False and plan.cfg.load_from == f'moganet://{workplace}/weights.pth'
    assert plan.notes[0].endswith('so training starts at the beginning from the weights of weights.pth')
    assert 'loaded' in plan.notes[1] and 'missing' not in plan.notes[1]


def test_training_may_start_from_other_classes(config: str, workplace: Path) -> None:
    _save_weights(workplace / 'weights.pth')
    other = {'load_from': 'weights.pth', 'model.head.num_classes': 3}
    plan = prepare_training(TrainOptions(config, cfg_options=other))
    assert 'new         2 (head.fc: 2), as initialised: the file has 10 classes' in plan.notes[0]


def test_resume_of_the_config_is_that_of_the_option(config: str, workplace: Path) -> None:
    plan = prepare_training(TrainOptions(config, cfg_options={'resume': True}))
    assert plan.cfg.resume is False and 'has no checkpoint yet' in plan.notes[0]
    _save_weights(workplace / 'weights.pth')
    with pytest.raises(ValueError, match='weights.pth cannot be resumed from'):
        prepare_training(TrainOptions(config, cfg_options={'resume': True, 'load_from': 'weights.pth'}))


def test_models_of_others_are_resumed_too(config: str, workplace: Path) -> None:
    from mmengine.config import Config
    from mmengine.registry import MODELS

    others = CONFIG.replace("dict(type='MogaNet', arch=narrow, norm_cfg=dict(type='SyncBN'))", "dict(type='LeNet5')")
    others = others.replace('in_channels=8', 'in_channels=84').replace('neck=', 'neck=None or ')
    (workplace / 'lenet.py').write_text(others)
    model = MODELS.build(Config.fromfile('lenet.py').model, default_args={'_scope_': 'mmpretrain'})
    state = {'state_dict': model.state_dict(), 'meta': {}, 'optimizer': {}, 'message_hub': {}}
    torch.save(state, 'iter_3.pth')
    plan = prepare_training(TrainOptions('lenet.py', resume='iter_3.pth'))
    assert plan.cfg.resume is True and plan.cfg.load_from == f'moganet://{workplace}/iter_3.pth'
    with pytest.raises(ValueError, match='iter_3.pth holds no MogaNet'):
        prepare_training(TrainOptions(config, resume='iter_3.pth'))


def test_home_is_spelled_out_before_it_is_looked_into(
    config: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(workplace / 'home'))
    plan = prepare_training(TrainOptions(config, work_dir='~/run', resume='auto'))
    assert plan.cfg.work_dir == str(workplace / 'home' / 'run')
    assert plan.notes == [f'--resume: {plan.cfg.work_dir} has no checkpoint yet, so training starts at the beginning']
    assert not (workplace / '~').exists()


def test_a_refused_test_leaves_no_folder(config: str, workplace: Path) -> None:
    from mmengine.config import Config
    from mmengine.registry import MODELS

    model = MODELS.build(Config.fromfile(config).model, default_args={'_scope_': 'mmpretrain'})
    torch.save({'state_dict': model.state_dict()}, workplace / 'x.pth')
    (workplace / 'file').touch()
    wanted = {'checkpoint': 'x.pth', 'show_dir': 'pictures', 'out': 'new/out.pkl'}
    with pytest.raises(ValueError, match='--work-dir .*file/run cannot be written'):
        prepare_testing(TestOptions(config, work_dir='file/run', **wanted))
    assert not (workplace / 'pictures').exists() and not (workplace / 'new').exists()
    cfg = prepare_testing(TestOptions(config, work_dir='run', **wanted)).cfg
    assert (workplace / 'pictures').is_dir() and cfg.test_evaluator[-1].out_file_path == str(workplace / 'new/out.pkl')


def test_pictures_that_cannot_be_drawn_are_refused_before_the_test(config: str, workplace: Path) -> None:
    from mmengine.config import Config
    from mmengine.registry import MODELS

    __import__('mmpose.visualization')
    model = MODELS.build(Config.fromfile(config).model, default_args={'_scope_': 'mmpretrain'})
    torch.save({'state_dict': model.state_dict()}, workplace / 'x.pth')
    axes = {'visualizer.type': 'mmpose.Pose3dLocalVisualizer'}
    prepare_testing(TestOptions(config, checkpoint='x.pth', cfg_options=axes))
    with pytest.raises(ValueError, match='Pose3dLocalVisualizer.* cannot draw truth'):
        prepare_testing(TestOptions(config, checkpoint='x.pth', show_dir='pictures', cfg_options=axes))
    assert not (workplace / 'pictures').exists()


def test_what_cannot_be_fused_is_refused_before_the_test(config: str, workplace: Path) -> None:
    from mmengine.config import Config
    from mmengine.registry import MODELS

    model = MODELS.build(Config.fromfile(config).model, default_args={'_scope_': 'mmpretrain'})
    torch.save({'state_dict': model.state_dict()}, workplace / 'x.pth')
    cfg = prepare_testing(TestOptions(config, work_dir='run', checkpoint='x.pth', fused=True)).cfg
    assert cfg.custom_hooks[-1] == {'type': 'FuseHook'}
    groups = {'model.backbone.norm_cfg': {'type': 'GN', 'num_groups': 2}}
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(groups)
    model = MODELS.build(cfg.model, default_args={'_scope_': 'mmpretrain'})
    torch.save({'state_dict': model.state_dict()}, workplace / 'x.pth')
    with pytest.raises(ValueError, match='--fused: this MogaNet cannot be fused: .* is GroupNorm'):
        prepare_testing(TestOptions(config, work_dir='new', checkpoint='x.pth', fused=True, cfg_options=groups))
    assert not (workplace / 'new').exists()


def test_deterministic_has_cublas_repeat_itself(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    prepare_training(TrainOptions(config))
    assert 'CUBLAS_WORKSPACE_CONFIG' not in os.environ
    prepare_training(TrainOptions(config, deterministic=True))
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':4096:8'


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        ({'model.head.in_channels': 'x'}, "model.head.in_channels is 'x'; LinearClsHead takes int"),
        ({'model.head.num_class': 3}, r"model.head: LinearClsHead\(.*\) cannot be built: TypeError: .*'num_class'"),
        ({'model.backbone.with_cp': True, 'model.neck.type': 'MogaNeck'}, "'MogaNeck'"),
    ],
)
def test_a_model_that_cannot_be_built(options: dict[str, Any], told: str, config: str, workplace: Path) -> None:
    with pytest.raises((ValueError, KeyError), match=told):
        prepare_training(TrainOptions(config, cfg_options=options))
    assert not (workplace / 'work_dirs').exists()
