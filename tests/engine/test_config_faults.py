"""Faults of a config, one by one: each is told before a run starts, with the field that it is in."""

from __future__ import annotations

import copy
import functools
import math
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from moganet.engine.launch import TrainOptions, prepare_training

from ..e2e.tools import LEAVES

CLS, DET, MASK, SEG, UPER = 'classification', 'retinanet', 'mask-rcnn', 'sem-fpn', 'upernet'
POSE, HANDS = 'pose', 'internet'
TRAIN = 'train_dataloader'
PIPELINE = f'{TRAIN}.dataset.pipeline'

# A tiny leaf, a change of it, and what the message must hold beside the last word of the changed key.
Row = tuple[str, str, Any, str]

# Keys that nothing reads.
UNKNOWN: list[Row] = [
    (CLS, 'model.backbone.drop_path', 0.1, 'drop_path_rate'),
    (CLS, 'model.neck.size', 7, 'model.neck: GlobalAveragePooling has no argument'),
    (CLS, 'model.head.classes', 7, 'model.head: LinearClsHead'),
    (CLS, 'model.head.loss.smooth', 0.1, 'model.head.loss: LabelSmoothLoss'),
    (CLS, 'model.trian_cfg', {}, 'model: ImageClassifier'),
    (CLS, 'data_preprocessor.means', [1, 2, 3], 'model.data_preprocessor: ClsDataPreprocessor'),
    (CLS, 'optim_wrapper.clip_grad', {'max_nrom': 5}, "'max_nrom'; did you mean 'max_norm'"),
    (CLS, 'randomness.sed', 3, "did you mean 'seed'"),
    (CLS, 'env_cfg.cudnn_bench', True, "did you mean 'cudnn_benchmark'"),
    (CLS, 'env_cfg.mp_cfg.start_method', 'fork', "did you mean 'mp_start_method'"),
    (CLS, 'auto_scale_lr.batch_size', 3, "did you mean 'base_batch_size'"),
    (CLS, 'log_processor', {'windowsize': 5}, 'log_processor: LogProcessor'),
    (CLS, 'visualizer.backends', [], 'visualizer: UniversalVisualizer has no argument'),
    (CLS, 'visualizer.vis_backends', [{'type': 'LocalVisBackend', 'dir': 'x'}], 'LocalVisBackend'),
    (CLS, 'default_hooks.checkpoint.keep', 3, 'default_hooks.checkpoint: CheckpointHook('),
    (CLS, 'default_hooks.param_scheduler.intervall', 3, 'default_hooks.param_scheduler'),
    (CLS, 'custom_hooks', [{'type': 'EMAHook', 'momentun': 0.1}], 'custom_hooks[0]: EMAHook'),
    (CLS, 'custom_hooks', [{'type': 'FiniteLossHook', 'actoin': 'skip'}], "did you mean 'action'"),
    (CLS, 'param_scheduler.1.eta', 0.1, 'param_scheduler[1]: CosineAnnealingLR'),
    (CLS, f'{PIPELINE}.1.scales', 64, f'{PIPELINE}[1]: RandomResizedCrop has no argument'),
    (DET, 'model.bbox_head.anchors', 3, 'model.bbox_head: RetinaHead'),
    (DET, 'model.bbox_head.anchor_generator.scale', 3, 'model.bbox_head.anchor_generator'),
    (DET, 'model.bbox_head.loss_cls.gama', 2.0, 'model.bbox_head.loss_cls: FocalLoss'),
    (DET, 'model.neck.outs', 3, 'model.neck: FPN has no argument'),
    (DET, 'val_evaluator.metrik', 'bbox', "did you mean 'metric'"),
    (MASK, 'model.roi_head.bbox_head.fcs', 2, 'model.roi_head.bbox_head: Shared2FCBBoxHead'),
    (MASK, 'model.rpn_head.channels', 2, 'model.rpn_head: RPNHead'),
    (SEG, 'model.decode_head.stride', 2, 'model.decode_head: FPNHead'),
    (SEG, 'train_dataloader.sampler.shufle', True, "did you mean 'shuffle'"),
    (POSE, 'model.head.decoder.sigmas', 2, 'MSRAHeatmap'),
    (POSE, 'val_dataloader.dataset.bbox_fil', 'x', "did you mean 'bbox_file'"),
]

# Values of a kind that the field does not take.
KINDS: list[Row] = [
    (CLS, 'model', [], 'model is []; it must be a dict'),
    (CLS, 'model.backbone', 'MogaNet', 'model.backbone'),
    (CLS, 'model.backbone.arch', 3, 'model.backbone'),
    (CLS, 'model.backbone.out_indices', '3', 'model.backbone'),
    (CLS, 'model.backbone.in_channels', '3', 'model.backbone'),
    (CLS, 'model.backbone.drop_path_rate', '0.1', 'takes float'),
    (CLS, 'model.backbone.with_cp', 'yes', 'takes Union[bool, Literal['),
    (CLS, 'model.backbone.norm_eval', None, 'takes bool'),
    (CLS, 'model.backbone.norm_cfg', 'BN', 'model.backbone.norm_cfg'),
    (CLS, 'model.backbone.act_cfg', [], 'model.backbone'),
    (CLS, 'model.backbone.frozen_stages', 'all', 'takes int'),
    (CLS, 'model.head.num_classes', '10', 'takes int'),
    (CLS, 'model.head.in_channels', [192], 'model.head: LinearClsHead'),
    (CLS, 'train_dataloader', [], 'it must be a dict'),
    (CLS, f'{TRAIN}.batch_size', '32', 'it must be a whole number of at least 1'),
    (CLS, f'{TRAIN}.batch_size', 2.5, 'it must be a whole number of at least 1'),
    (CLS, f'{TRAIN}.num_workers', None, 'it must be a whole number of at least 0'),
    (CLS, f'{TRAIN}.num_workers', True, 'it must be a whole number of at least 0'),
    (CLS, f'{TRAIN}.persistent_workers', 'no', 'it must be one of True, False'),
    (CLS, f'{TRAIN}.dataset', None, 'has no dataset'),
    (CLS, f'{TRAIN}.sampler', None, 'has no sampler'),
    (CLS, f'{TRAIN}.sampler.shuffle', 'yes', 'takes bool'),
    (CLS, f'{PIPELINE}.1.scale', 'big', 'RandomResizedCrop'),
    (CLS, PIPELINE, 'LoadImageFromFile', f'{TRAIN}.dataset'),
    (CLS, 'train_cfg.max_epochs', 'five', 'it must be a whole number of at least 1'),
    (CLS, 'train_cfg.max_epochs', None, 'it must be a whole number of at least 1'),
    (CLS, 'train_cfg.val_interval', [1], 'it must be a whole number of at least 1'),
    (CLS, 'train_cfg.by_epoch', 'yes', 'it must be one of True, False'),
    (CLS, 'optim_wrapper', [], 'it must be a dict'),
    (CLS, 'optim_wrapper.optimizer', None, 'optim_wrapper has no optimizer'),
    (CLS, 'optim_wrapper.optimizer.lr', '0.1', 'optim_wrapper.optimizer'),
    (CLS, 'optim_wrapper.optimizer.lr', None, 'optim_wrapper.optimizer'),
    (CLS, 'optim_wrapper.optimizer.betas', 0.9, 'optim_wrapper.optimizer'),
    (CLS, 'optim_wrapper.clip_grad', 5.0, 'clip_grad=5.0'),
    (CLS, 'optim_wrapper.paramwise_cfg', [], 'optim_wrapper'),
    (CLS, 'param_scheduler', 'cosine', 'it must be a dict or a list'),
    (CLS, 'param_scheduler.1.eta_min', 'small', 'param_scheduler[1]'),
    (CLS, 'default_hooks', [], 'it must be a dict'),
    (CLS, 'default_hooks.checkpoint.interval', '1', 'CheckpointHook takes int'),
    (CLS, 'default_hooks.logger.interval', 'often', 'default_hooks.logger'),
    (CLS, 'custom_hooks', {'type': 'EMAHook'}, '--cfg-options custom_hooks cannot be merged'),
    (CLS, 'val_evaluator', 'Accuracy', 'it must be a dict or a list'),
    (CLS, 'val_evaluator.topk', 'five', 'Accuracy takes'),
    (CLS, 'val_evaluator', None, 'the config has val_dataloader, val_cfg and no val_evaluator'),
    (CLS, 'randomness', 3, 'it must be a dict'),
    (CLS, 'randomness.seed', 'lucky', 'it must be a whole number from 0 to'),
    (CLS, 'visualizer', 'local', 'it must be a dict'),
    (CLS, 'env_cfg', True, 'it must be a dict'),
    (CLS, 'load_from', 3, 'it must be a text'),
    (CLS, 'resume', 'auto', 'it must be True or False'),
    (DET, 'model.neck.in_channels', 32, 'model.neck: FPN'),
    (DET, 'model.bbox_head.anchor_generator.ratios', 'wide', 'model.bbox_head.anchor_generator'),
    (DET, 'train_dataloader.dataset.metainfo', 'digits', 'train_dataloader.dataset'),
    (SEG, 'model.decode_head.in_index', 'all', 'model.decode_head'),
    (SEG, 'model.data_preprocessor.size', 'small', 'model.data_preprocessor'),
    (POSE, 'model.head.deconv_out_channels', 64, 'model.head'),
    (POSE, 'train_dataloader.dataset.data_mode', 3, 'train_dataloader.dataset'),
]

# Values out of their range.
RANGES: list[Row] = [
    (CLS, 'model.backbone.out_indices', (0, 4), 'model.backbone'),
    (CLS, 'model.backbone.frozen_stages', 4, 'from 0 to 3'),
    (CLS, 'model.backbone.drop_rate', 1.5, 'model.backbone'),
    (CLS, 'model.backbone.drop_path_rate', math.nan, 'is nan'),
    (CLS, 'model.backbone.in_channels', 0, 'at least 1'),
    (CLS, 'model.head.num_classes', -1, 'at least 1'),
    (MASK, 'model.roi_head.mask_head.num_classes', 0, 'at least 1'),
    (CLS, 'model.head.in_channels', 100, 'model.head'),
    (CLS, f'{TRAIN}.batch_size', 0, 'at least 1'),
    (CLS, f'{TRAIN}.batch_size', -4, 'at least 1'),
    (CLS, f'{TRAIN}.num_workers', -1, 'at least 0'),
    (CLS, f'{TRAIN}.timeout', -5, 'at least 0'),
    (CLS, f'{PIPELINE}.1.crop_ratio_range', (2.0, 1.0), f'{PIPELINE}[1]: RandomResizedCrop'),
    (CLS, PIPELINE, [{'type': 'RandomFlip', 'prob': 1.5}], f'{PIPELINE}[0]: RandomFlip'),
    (CLS, 'train_cfg.max_epochs', 0, 'at least 1'),
    (CLS, 'train_cfg.max_epochs', -1, 'at least 1'),
    (CLS, 'train_cfg.max_epochs', 1.5, 'at least 1'),
    (CLS, 'train_cfg.val_interval', 0, 'at least 1'),
    (CLS, 'train_cfg.val_begin', -1, 'at least 0'),
    (CLS, 'optim_wrapper.optimizer.lr', -1.0, 'optim_wrapper.optimizer: AdamW'),
    (CLS, 'optim_wrapper.optimizer.lr', math.nan, 'is nan'),
    (CLS, 'optim_wrapper.optimizer.betas', (0.9, 1.5), 'optim_wrapper.optimizer: AdamW'),
    (CLS, 'optim_wrapper.optimizer.weight_decay', -0.1, 'optim_wrapper.optimizer: AdamW'),
    (CLS, 'optim_wrapper.accumulative_counts', 0, 'at least 1'),
    (CLS, 'optim_wrapper.clip_grad', {'max_norm': -1.0}, 'max_norm'),
    (CLS, 'param_scheduler.0.end', 0, 'param_scheduler[0].end is 0'),
    (CLS, 'param_scheduler.1.end', 1, 'param_scheduler[1]: CosineAnnealingLR'),
    (CLS, 'param_scheduler.0.start_factor', 2.0, 'param_scheduler[0]: LinearLR'),
    (CLS, 'param_scheduler.0.begin', -1, 'param_scheduler[0].begin is -1'),
    (CLS, 'default_hooks.checkpoint.interval', 0, 'at least 1'),
    (CLS, 'default_hooks.checkpoint.max_keep_ckpts', 0, 'at least 1'),
    (CLS, 'default_hooks.checkpoint.save_best', 3, 'default_hooks.checkpoint'),
    (CLS, 'default_hooks.logger.interval', 0, 'default_hooks.logger: LoggerHook'),
    (CLS, 'custom_hooks', [{'type': 'EMAHook', 'momentum': 2.0}], 'custom_hooks[0]: EMAHook(momentum=2.0)'),
    (CLS, 'custom_hooks', [{'type': 'EMAHook', 'begin_epoch': -1}], 'begin_epoch'),
    (CLS, 'custom_hooks', [{'type': 'FiniteLossHook', 'action': 'ignore'}], 'action'),
    (CLS, 'custom_hooks', [{'type': 'FiniteLossHook', 'max_skipped': -1}], 'max_skipped'),
    (CLS, 'randomness.seed', -1, 'from 0 to'),
    (CLS, 'randomness.seed', 2**32, 'from 0 to'),
    (CLS, 'env_cfg.mp_cfg.mp_start_method', 'thread', 'one of fork, spawn, forkserver'),
    (CLS, 'auto_scale_lr.base_batch_size', 0, 'at least 1'),
    (CLS, 'log_level', 'LOUD', 'one of'),
    (DET, 'model.neck.num_outs', 1, 'model.neck: FPN'),
    (DET, 'val_evaluator.metric', 'boxes', 'val_evaluator: CocoMetric'),
    (DET, 'model.bbox_head.stacked_convs', 'two', 'model.bbox_head'),
    (SEG, 'model.decode_head.in_channels', [64, 64], 'model.decode_head'),
    (SEG, 'model.decode_head.num_classes', 0, 'model.decode_head.num_classes is 0'),
    (SEG, 'train_cfg.max_iters', 0, 'at least 1'),
    (UPER, 'model.auxiliary_head.in_channels', 7, 'model.auxiliary_head'),
    (POSE, 'train_dataloader.dataset.data_mode', 'sideways', 'train_dataloader.dataset'),
    (POSE, 'val_evaluator.nms_mode', 'hard', 'val_evaluator: CocoMetric'),
]

# What a config names, and is not there.
ABSENT: list[Row] = [
    (CLS, 'model.type', 'ImageClassifer', "did you mean 'ImageClassifier'"),
    (CLS, 'model.backbone.type', None, 'model.backbone'),
    (CLS, 'model.head.type', 'mmdett.LinearClsHead', 'mmdett'),
    (CLS, 'model.head.loss.type', 'LabelSmothLoss', "did you mean 'LabelSmoothLoss'"),
    (CLS, 'optim_wrapper.optimizer.type', 'Adamw', "did you mean 'AdamW'"),
    (CLS, 'optim_wrapper.type', 'AmpOptimWraper', "did you mean 'AmpOptimWrapper'"),
    (CLS, 'optim_wrapper.constructor', 'LayerDecay', 'LayerDecay'),
    (CLS, f'{TRAIN}.sampler.type', 'DefaultSamplr', "did you mean 'DefaultSampler'"),
    (CLS, f'{TRAIN}.collate_fn', {'type': 'no_such_collate'}, 'no_such_collate'),
    (CLS, 'custom_hooks', [{'interval': 3}], 'custom_hooks[0]'),
    (CLS, 'custom_hooks', [{'type': 'my_package.hooks.MyHook'}], 'my_package'),
    (CLS, 'runner_type', 'ResumableRuner', "did you mean 'ResumableRunner'"),
    (CLS, 'default_scope', 'mmyolo', 'mmyolo'),
    (DET, 'model.bbox_head.bbox_coder.type', 'DeltaXYWHBoxCoder', "did you mean 'DeltaXYWHBBoxCoder'"),
    (SEG, 'val_evaluator.type', 'IouMetric', "did you mean 'IoUMetric'"),
    (HANDS, 'model.head.type', 'InternetHed', "did you mean 'InternetHead'"),
]


@functools.cache
def _read(path: str) -> Config:
    return _fromfile(path)


_fromfile = Config.fromfile


@pytest.fixture
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each leaf once for all its faults."""
    monkeypatch.setattr(Config, 'fromfile', lambda path: copy.deepcopy(_read(path)))


@pytest.mark.parametrize(
    'row', [*UNKNOWN, *KINDS, *RANGES, *ABSENT], ids=lambda row: f'{row[0]}-{row[1].rpartition(".")[2]}-{row[2]}'[:60]
)
def test_a_fault_is_told_with_its_field(row: Row, workplace: Path, read_once: None) -> None:
    leaf, key, value, told = row
    with pytest.raises((ValueError, KeyError)) as caught:
        prepare_training(TrainOptions(str(LEAVES[leaf].config), work_dir='run', cfg_options={key: value}))
    message = str(caught.value.args[0])
    assert told in message
    assert key.rpartition('.')[2] in message or key.rpartition('.')[0] in message
    assert not Path('run').exists()


# Faults of the file itself, below the head of a leaf.
FILES = {
    'syntax': ('model = dict(\n', 'SyntaxError'),
    'a name that is not defined': ('model = dict(backbone=dict(arch=size))\n', "name 'size' is not defined"),
    'a base that is not there': ("_base_ = ['{base}', './gone.py']\n", 'gone.py'),
    'a base of a toolbox that is not there': ("_base_ = 'mmpretrain::resnet/resnet_gone.py'\n", 'resnet_gone.py'),
    'a base of a scope that is none': ("_base_ = 'mmyolo::yolov5/yolov5_s.py'\n", 'mmyolo'),
    'a base that is no path': ('_base_ = 3\n', 'leaf.py cannot be read'),
    'a name that the base does not have': ("_base_ = '{base}'\nmodel = _base_.modell\n", 'modell'),
    'two bases with the same key': ("_base_ = ['{base}', './other.py']\n", 'Duplicate key'),
    'an import that is not there': (
        "_base_ = '{base}'\ncustom_imports = dict(imports=['no_such_package'], allow_failed_imports=False)\n",
        'no_such_package',
    ),
    'imports that are no list': ("_base_ = '{base}'\ncustom_imports = dict(imports=3)\n", 'custom_imports'),
    'imports under another key': ("_base_ = '{base}'\ncustom_imports = dict(import_=['moganet'])\n", "'import_'"),
    'a list in place of a dict': ("_base_ = '{base}'\nmodel = [1]\n", 'model'),
    'a dict in place of a list': ("_base_ = '{base}'\nparam_scheduler = dict(type='StepLR')\n", 'param_scheduler'),
    'an error while it is read': ("_base_ = '{base}'\nx = 1 / 0\n", 'ZeroDivisionError'),
    'bytes that are no text': ('\xff\xfe', 'UnicodeDecodeError'),
}


@pytest.mark.parametrize('name', FILES)
def test_a_fault_of_the_file_is_told_with_its_path(name: str, workplace: Path) -> None:
    text, told = FILES[name]
    Path('leaf.py').write_bytes(text.replace('{base}', str(LEAVES[CLS].config)).encode('latin-1'))
    Path('other.py').write_text('model = dict()\n')
    with pytest.raises((ValueError, KeyError, FileNotFoundError)) as caught:
        prepare_training(TrainOptions('leaf.py', work_dir='run'))
    assert told in str(caught.value.args[0])
    assert not Path('run').exists()
