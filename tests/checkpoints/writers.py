"""Checkpoints of MogaNet as each training code builds them, key by key.

Everything starts from weights under today's names, :func:`model`; each writer gives them its own names and puts around
them what it puts around them. The tensors have the models' real shapes, but each repeats one number without memory of
its own, so that even XLarge is made in no time.
"""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from moganet import MogaNet
from moganet.models.backbones.moganet import VARIANTS

from . import heads

Weights = OrderedDict[str, Tensor]
SMALL = dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))
HEADS: Mapping[str, Callable[[Sequence[int]], heads.Shapes]] = {
    'classifier': heads.classifier,
    'retinanet': heads.retinanet,
    'mask-rcnn': heads.mask_rcnn,
    'cascade-mask-rcnn': heads.cascade,
    'cascade-mask-rcnn-giou': lambda widths: heads.cascade(widths, convs=4),
    'sem-fpn': heads.sem_fpn,
    'upernet': heads.upernet,
    'td-hm': heads.heatmaps,
}
CLASSES = tuple(f'class {number}' for number in range(80))


@cache
def backbone(arch: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a variant, or of the ``small`` custom arch."""
    with torch.device('meta'):
        model = MogaNet(SMALL if arch == 'custom' else arch)
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def filled(shapes: Mapping[str, tuple[int, ...]], start: int = 0, dtype: torch.dtype = torch.float32) -> Weights:
    """Tensors of these shapes; the counter of a norm's batches is a whole number."""
    weights: Weights = OrderedDict()
    for number, (name, shape) in enumerate(shapes.items(), start):
        kind = torch.int64 if name.endswith('num_batches_tracked') else dtype
        weights[name] = torch.tensor(number % 251, dtype=kind).expand(shape)
    return weights


def model(arch: str, head: str = 'classifier', start: int = 0, dtype: torch.dtype = torch.float32) -> Weights:
    """Weights of a whole model under today's names."""
    widths = SMALL['embed_dims'] if arch == 'custom' else VARIANTS[arch].embed_dims
    shapes = {f'backbone.{name}': shape for name, shape in backbone(arch).items()}
    return filled({**shapes, **HEADS[head](widths)}, start, dtype)


def solid(weights: Weights) -> Weights:
    """The same with memory for every number, as a file has it."""
    return OrderedDict((name, value.contiguous()) for name, value in weights.items())


def is_parameter(name: str) -> bool:
    return not name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))


def averaged(weights: Weights) -> Weights:
    """Another copy, as an average that leaves the norms' statistics alone."""
    one = {name: value[(0,) * value.ndim] + 1 for name, value in weights.items() if is_parameter(name)}
    return OrderedDict(
        (name, one[name].expand(value.shape) if name in one else value) for name, value in weights.items()
    )


def prefixed(weights: Weights, prefix: str) -> Weights:
    return OrderedDict((prefix + name, value) for name, value in weights.items())


# timm: bare names, one linear layer called head; the training's own file, and what extract_ckpt.py leaves of it.


def timm_names(ours: Weights) -> Weights:
    names = (name.replace('head.fc.', 'head.').removeprefix('backbone.') for name in ours)
    return OrderedDict(zip(names, ours.values()))


def timm_raw(ours: Weights, ema: Weights | None = None) -> dict[str, Any]:
    data = {
        'epoch': 299,
        'arch': 'moganet_tiny',
        'state_dict': timm_names(ours),
        'optimizer': {'state': {0: {'step': 375000, 'exp_avg': torch.zeros(2)}}, 'param_groups': [{'lr': 1e-5}]},
        'version': 2,
        'args': Namespace(model='moganet_tiny', lr=1e-3, model_ema=ema is not None),
        'amp_scaler': {'scale': 65536.0, '_growth_tracker': 7},
        'metric': 79.02,
    }
    if ema is not None:
        data['state_dict_ema'] = timm_names(ema)
    return data


def timm_extracted(ours: Weights, ema: Weights | None = None, ema_only: bool = False) -> dict[str, Any]:
    data: dict[str, Any] = {'author': 'MogaNet', 'arch': 'moganet_tiny', 'metric': 79.02}
    if ema is not None and ema_only:
        return {**data, 'state_dict': timm_names(ema)}
    data['state_dict'] = timm_names(ours)
    if ema is not None:
        data['state_dict_ema'] = timm_names(ema)
    return data


# OpenMMLab 1.x, mmcv 1.7: meta is what the training's script gives, and what mmcv's save_checkpoint adds.


def _mmcv_meta(code: str, version: str, config: str, **more: Any) -> dict[str, Any]:
    return {
        'env_info': 'sys.platform: linux',
        'config': config,
        'seed': 0,
        'exp_name': 'config.py',
        f'{code}_version': version,
        'epoch': 300,
        'iter': 375300,
        'mmcv_version': '1.7.0',
        'time': 'Sat Nov 26 10:00:00 2022',
        'hook_msgs': {'last_ckpt': 'work_dirs/epoch_299.pth'},
        **more,
    }


def _optimizer() -> dict[str, Any]:
    return {'state': {0: {'exp_avg': torch.zeros(2)}}, 'param_groups': [{'lr': 1e-5, 'params': [0]}]}


def openmixup_config(force_fp32: bool | None = True, ema: bool = False) -> str:
    option = '' if force_fp32 is None else f', attn_force_fp32={force_fp32}'
    hooks = "[dict(type='EMAHook', momentum=0.99996, priority='NORMAL')]" if ema else '[]'
    return (
        f"model = dict(\n    type='MixUpClassification',\n    backbone=dict(type='MogaNet', arch='tiny'{option}),\n"
        f"    head=dict(type='ClsMixupHead', num_classes=1000))\ncustom_hooks = {hooks}\n"
    )


def openmixup(ours: Weights, raw: Weights | None = None, config: str | None = None) -> dict[str, Any]:
    """OpenMixup's file; with ``raw`` that of a training that averaged, after its hook swapped the two."""
    state = OrderedDict(ours)
    for name, value in (raw or {}).items():
        if is_parameter(name):
            state['ema_' + name.replace('.', '_')] = value
    config = openmixup_config(ema=raw is not None) if config is None else config
    meta = _mmcv_meta('openmixup', '0.2.7', config)
    return {'meta': meta, 'state_dict': state, 'optimizer': _optimizer()}


def port(ours: Weights) -> dict[str, Any]:
    """The authors' port to mmpretrain 1.x: the weights alone, under mmpretrain's names."""
    return {'state_dict': OrderedDict(ours)}


_OLD = {'mmdet': '2.28.2', 'mmseg': '0.30.0', 'mmpose': '0.29.0'}


def dense_config(force_fp32: bool | None = None) -> str:
    option = '' if force_fp32 is None else f', attn_force_fp32={force_fp32}'
    return (
        f"model = dict(type='RetinaNet', backbone=dict(type='MogaNet_feat', arch='tiny'{option}))\n"
        "optimizer = dict(type='AdamW')\n"
    )


def mmcv1(code: str, ours: Weights, config: str | None = None) -> dict[str, Any]:
    """mmdet 2.x, mmseg 0.x or mmpose 0.x."""
    more: dict[str, Any] = {'mmdet': {'CLASSES': CLASSES}, 'mmpose': {}}.get(
        code, {'CLASSES': CLASSES, 'PALETTE': [[0, 0, 0]] * 80}
    )
    state = ours
    if code == 'mmpose':
        names = ('keypoint_' + name if name.startswith('head.') else name for name in ours)
        state = OrderedDict(zip(names, ours.values()))
    meta = _mmcv_meta(code, f'{_OLD[code]}+3b72b12', dense_config() if config is None else config, **more)
    return {'meta': meta, 'state_dict': state, 'optimizer': _optimizer()}


# MMEngine: the Runner's save_checkpoint.


def our_config(gate_act_twice: bool | None = None) -> str:
    option = '' if gate_act_twice is None else f', gate_act_twice={gate_act_twice}'
    return (
        "custom_imports = dict(allow_failed_imports=False, imports=['moganet'])\ndefault_scope = 'mmdet'\n"
        f"model = dict(\n    type='RetinaNet',\n    backbone=dict(arch='tiny', type='MogaNet'{option}))\n"
    )


FOREIGN_CONFIG = "model = dict(type='ImageClassifier', backbone=dict(type='MogaNet', arch='tiny'))\n"


def mmengine(ours: Weights, raw: Weights | None = None, config: str = FOREIGN_CONFIG, **meta: Any) -> dict[str, Any]:
    """MMEngine's file; with ``raw`` that of a training under its EMAHook, which swaps the two while it saves."""
    data = {
        'meta': {
            'epoch': 12,
            'iter': 87960,
            'cfg': config,
            'seed': 1,
            'experiment_name': 'config_20261121_100000',
            'time': '20261121_100000',
            'mmengine_version': '0.10.7',
            'dataset_meta': {'classes': CLASSES, 'palette': [(0, 0, 0)]},
            **meta,
        },
        'state_dict': OrderedDict(ours),
        'message_hub': {'log_scalars': {}, 'runtime_info': {'epoch': 12}, 'resumed_keys': {}},
        'optimizer': _optimizer(),
        'param_schedulers': [{'last_step': 12}],
    }
    if raw is not None:
        data['ema_state_dict'] = OrderedDict(steps=torch.tensor(87960), **prefixed(raw, 'module.'))
    return data


# OpenSTL: SimVP with a Moga translator; the scales of a block are parameters, not modules.


@cache
def _simvp() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for part, widths in (('enc.enc', ((1, 64), (64, 64))), ('dec.dec', ((64, 256), (128, 64)))):
        for index, (into, out) in enumerate(widths):
            shapes |= heads.conv(f'{part}.{index}.conv.conv', out, into, 3)
            shapes |= {f'{part}.{index}.conv.norm.weight': (out,), f'{part}.{index}.conv.norm.bias': (out,)}
    block = [(name, shape) for name, shape in backbone('custom').items() if name.startswith('blocks1.0.')]
    for index in range(2):
        shapes |= {name.replace('blocks1.0', f'hid.enc.{index}.block'): shape for name, shape in block}
        shapes |= heads.conv(f'hid.enc.{index}.reduction', 8, 8, 1)
    return shapes | heads.conv('dec.readout', 1, 64, 1)


def simvp() -> Weights:
    """Weights of the video model under today's names."""
    return filled(_simvp())


def openstl_names(ours: Weights) -> Weights:
    return OrderedDict((name.replace('sigma.scale', 'sigma'), value) for name, value in ours.items())


def openstl_latest(ours: Weights) -> dict[str, Any]:
    return {
        'epoch': 199,
        'optimizer': _optimizer(),
        'state_dict': openstl_names(ours),
        'scheduler': {'last_epoch': 199, 'total_steps': 250000},
    }


def openstl_lightning(ours: Weights) -> dict[str, Any]:
    return {
        'epoch': 199,
        'global_step': 250000,
        'pytorch-lightning_version': '1.9.0',
        'state_dict': prefixed(openstl_names(ours), 'model.'),
        'loops': {'fit_loop': {}},
        'callbacks': {},
        'optimizer_states': [_optimizer()],
        'lr_schedulers': [{'last_epoch': 199}],
        'hyper_parameters': {'lr': 1e-3},
    }


def resnet() -> Weights:
    shapes = {'conv1.weight': (64, 3, 7, 7), **heads.norm('bn1', 64), 'layer1.0.conv1.weight': (64, 64, 1, 1)}
    return filled({**shapes, 'fc.weight': (1000, 2048), 'fc.bias': (1000,)})


def small_backbone() -> nn.Module:
    """A real MogaNet, to load weights into."""
    return MogaNet(SMALL)
