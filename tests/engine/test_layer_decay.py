"""The learning rate of each parameter by its depth, against the table of the authors' Cascade recipes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from moganet import MogaNet

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 22, 1), ffn_ratios=(1, 1, 1, 1))


class Detector(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.backbone = MogaNet(ARCH, **options)
        self.neck = nn.Conv2d(32, 4, 1)
        self.head = nn.Linear(4, 2)


def build(model: nn.Module, rate: Any = 0.8, **paramwise: Any) -> torch.optim.Optimizer:
    optimizer = dict(type='AdamW', lr=1e-2, weight_decay=0.05)
    paramwise_cfg = dict(layer_decay_rate=rate, **paramwise)
    constructor = 'LayerWiseDecayOptimWrapperConstructor'
    cfg = dict(type='OptimWrapper', optimizer=optimizer, constructor=constructor, paramwise_cfg=paramwise_cfg)
    return build_optim_wrapper(model, cfg).optimizer


def by_name(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    entries = [(names[id(p)], (g['lr'], g['weight_decay'])) for g in optimizer.param_groups for p in g['params']]
    assert len({name for name, _ in entries}) == len(entries)
    return dict(entries)


def depth_in_the_table(name: str) -> int:
    """Stem 0; the other patch embeddings 3, 4, 12; blocks 2, 3, 3 + i // 2 up to 11, 12; all else 13."""
    found = re.match(r'backbone\.(patch_embed|blocks)(\d)\.(\d+)?', name)
    if found is None:
        return 13
    kind, stage = found[1], int(found[2])
    if kind == 'patch_embed':
        return {1: 0, 2: 3, 3: 4, 4: 12}[stage]
    return min(3 + int(found[3]) // 2, 11) if stage == 3 else {1: 2, 2: 3, 4: 12}[stage]


def test_rates_and_decay() -> None:
    model = Detector()
    found = by_name(model, build(model))
    assert found.keys() == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        lr, decay = found[name]
        assert lr == pytest.approx(1e-2 * 0.8 ** (13 - depth_in_the_table(name))), name
        long_axes = sum(side > 1 for side in parameter.shape)
        assert decay == (0.0 if long_axes <= 1 or name.endswith('.bias') else 0.05), name
    # One axis longer than 1: norms, biases, layer scales, and the convolution to one channel.
    assert found['backbone.blocks1.0.layer_scale_1'][1] == found['backbone.blocks1.0.mlp.decompose.weight'][1] == 0.0
    assert found['head.weight'] == (1e-2, 0.05)


def test_what_is_frozen_is_left_out() -> None:
    model = Detector(frozen_stages=0)
    found = by_name(model, build(model))
    assert not any(name.startswith(('backbone.patch_embed1', 'backbone.blocks1', 'backbone.norm1')) for name in found)
    assert 'backbone.blocks2.0.mlp.fc1.weight' in found


def test_a_wrapped_model_has_the_same_rates() -> None:
    model = Detector()
    wrapped = nn.Module()
    wrapped.module = model
    assert by_name(model, build(wrapped)) == by_name(model, build(model))


def test_a_rate_of_one_changes_nothing() -> None:
    model = Detector()
    assert {lr for lr, _ in by_name(model, build(model, rate=1.0)).values()} == {1e-2}


@pytest.mark.parametrize('rate', [0.0, -0.5, 1.5])
def test_rate_out_of_range(rate: float) -> None:
    with pytest.raises(ValueError, match=f'layer_decay_rate is {rate}; it must be above 0'):
        build(Detector(), rate=rate)


def test_other_options_are_refused() -> None:
    with pytest.raises(KeyError, match='takes layer_decay_rate and nothing else'):
        build(Detector(), norm_decay_mult=0.0)


def test_a_model_without_depths() -> None:
    with pytest.raises(ValueError, match='no part of this model has get_layer_depth'):
        build(nn.Sequential(nn.Linear(2, 2)))
