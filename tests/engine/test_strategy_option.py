"""What `--strategy` makes of a config, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from moganet.engine import ShardedRunner
from moganet.engine.deepspeed_option import apply_deepspeed, check_installed, zero_settings
from moganet.engine.strategies.sharded import check_shardable
from moganet.engine.strategies.zero import merged_groups
from moganet.engine.strategy_option import (
    apply_precision_and_strategy,
    apply_strategy,
    check_launched,
    chosen_strategy,
    unsharded,
)


def _config(**more: Any) -> Config:
    return Config({'runner_type': 'ResumableRunner', 'optim_wrapper': {'optimizer': {'type': 'AdamW'}}, **more})


def test_fsdp_is_another_runner_and_a_test_has_none_of_it() -> None:
    cfg = _config(model_wrapper_cfg={'type': 'MMDistributedDataParallel', 'device_ids': None})
    assert chosen_strategy(cfg, None) is None
    (note,) = apply_strategy(cfg, 'fsdp')
    assert note.startswith('fsdp: ') and cfg.runner_type == 'ShardedRunner' and 'model_wrapper_cfg' not in cfg
    assert chosen_strategy(cfg, None) == 'fsdp' and chosen_strategy(cfg, 'ddp') == 'ddp'
    with pytest.raises(ValueError, match='dist_train.sh CONFIG GPUS --strategy fsdp'):
        check_launched(cfg, 'none')
    check_launched(cfg, 'pytorch')
    unsharded(cfg)
    assert cfg.runner_type == 'ResumableRunner'


def test_ddp_is_what_is_done_without_a_word() -> None:
    cfg = _config()
    assert apply_strategy(cfg, 'ddp') == [] and cfg.to_dict() == _config().to_dict()
    cfg = _config(runner_type='ShardedRunner', strategy={'type': 'FullyShardedStrategy'})
    assert apply_strategy(cfg, 'ddp') == [] and cfg.runner_type == 'ResumableRunner' and 'strategy' not in cfg


_LAMB = {'optimizer': {'type': 'Lamb'}}
_OWN_WAY = {'type': 'DeepSpeedOptimWrapper', 'optimizer': {'type': 'AdamW'}}


@pytest.mark.parametrize(
    ('more', 'told'),
    [
        ({'runner_type': 'FlexibleRunner'}, "replaces runner_type='FlexibleRunner'"),
        ({'strategy': {'type': 'FSDPStrategy'}}, "replaces strategy.type='FSDPStrategy'"),
        ({'model_wrapper_cfg': {'type': 'MMFullyShardedDataParallel'}}, 'replaces model_wrapper_cfg.type='),
        ({'activation_checkpointing': ['backbone']}, 'activation_checkpointing; set model.backbone.with_cp=True'),
        ({'compile': True}, 'does not go with compile; leave it out'),
        ({'optim_wrapper': _LAMB}, "optimizer.type='Lamb' is not known"),
        ({'optim_wrapper': _OWN_WAY}, "optim_wrapper.type='DeepSpeedOptimWrapper'; allowed: OptimWrapper"),
    ],
)
def test_what_does_not_go_together_is_refused(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace('(', r'\(')):
        apply_strategy(_config(**more), 'fsdp')


def test_runner_refuses_what_it_does_not_read() -> None:
    with pytest.raises(ValueError, match='compile is not read by ShardedRunner; leave it out'):
        ShardedRunner.from_cfg(Config({'compile': True}))


class _Scalar(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, *inputs: Any, **more: Any) -> None:
        """Nothing."""


class _OwnStep(_Scalar):
    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        return {}


@pytest.mark.parametrize(
    ('model', 'told'),
    [
        (_Scalar(), '_Scalar.scale is a number without an axis'),
        (_OwnStep(), '_OwnStep has a train_step of its own'),
    ],
)
def test_model_that_cannot_be_sharded_is_refused(model: nn.Module, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_shardable(model)


def test_older_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('moganet.engine.strategies.sharded.torch_version', lambda: (2, 7))
    with pytest.raises(ValueError, match=r'sharding needs torch 2.8 or newer, and this is .*; use --strategy ddp'):
        check_shardable(_Scalar())


# DeepSpeed, which is not installed here.
_ZERO = {'stage': 3, 'stage3_gather_16bit_weights_on_model_save': True}
_TORCHS_OWN = {'zero_allow_untested_optimizer': True, 'zero_force_ds_cpu_optimizer': False}


def test_what_deepspeed_is_given() -> None:
    plain = {'optimizer': {'type': 'AdamW'}}
    wanted = {'type': 'ZeroStrategy', 'config': _TORCHS_OWN, 'zero_optimization': _ZERO}
    wanted |= {'train_micro_batch_size_per_gpu': 8, 'gradient_accumulation_steps': 1}
    assert zero_settings(plain, 8, None, {}) == wanted
    full = {**plain, 'accumulative_counts': 4, 'clip_grad': {'max_norm': 5, 'norm_type': 2}}
    wanted |= {'gradient_accumulation_steps': 4, 'gradient_clipping': 5.0}
    wanted |= {'bf16': {'enabled': True}, 'inputs_to_half': ['inputs']}
    wanted['zero_optimization'] = {**_ZERO, 'overlap_comm': False}
    assert zero_settings(full, 8, 'bf16', {'zero_optimization': {'overlap_comm': False}}) == wanted
    with pytest.raises(ValueError, match='by their norm alone'):
        zero_settings({**plain, 'clip_grad': {'type': 'value', 'clip_value': 1}}, 8, None, {})
    with pytest.raises(ValueError, match='stage is 2; 3 is needed'):
        zero_settings(plain, 8, None, {'zero_optimization': {'stage': 2}})


def test_deepspeed_runs_under_flexible_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('moganet.engine.deepspeed_option.check_installed', lambda: None)
    wrapper = {'optimizer': {'type': 'AdamW'}, 'accumulative_counts': 2, 'paramwise_cfg': {'norm_decay_mult': 0.0}}
    cfg = _config(optim_wrapper=wrapper, train_dataloader={'batch_size': 4})
    (note,) = apply_precision_and_strategy(cfg, 'bf16', 'deepspeed', None)
    assert 'cannot be resumed' in note and cfg.runner_type == 'FlexibleRunner'
    assert cfg.optim_wrapper == {
        'type': 'DeepSpeedOptimWrapper',
        'optimizer': {'type': 'AdamW'},
        'paramwise_cfg': {'norm_decay_mult': 0.0},
    }
    assert cfg.strategy.gradient_accumulation_steps == 2 and cfg.strategy.bf16 == {'enabled': True}
    assert cfg.default_hooks.checkpoint == {'type': 'CheckpointHook', 'save_optimizer': False}
    with pytest.raises(ValueError, match='dist_train.sh CONFIG GPUS --strategy deepspeed'):
        check_launched(cfg, 'none')


@pytest.mark.parametrize(
    ('more', 'resume', 'told'),
    [
        ({}, 'auto', 'does not go with --resume'),
        ({'load_from': 'x.pth'}, None, 'does not go with load_from; give the backbone init_cfg'),
        ({'custom_hooks': [{'type': 'EMAHook'}]}, None, 'does not go with EMAHook'),
        ({'custom_hooks': [{'type': 'FiniteLossHook'}]}, None, 'does not go with FiniteLossHook'),
        ({'optim_wrapper': {'type': 'AmpOptimWrapper'}}, None, "optim_wrapper.type='AmpOptimWrapper'; it has its own"),
    ],
)
def test_what_does_not_go_with_deepspeed(
    more: dict[str, Any], resume: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('moganet.engine.deepspeed_option.check_installed', lambda: None)
    with pytest.raises(ValueError, match=told):
        apply_deepspeed(_config(train_dataloader={'batch_size': 4}, **more), None, resume)


def test_deepspeed_that_is_absent_or_too_new_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen with version 0.19.8, which has no module `runtime.fp16.onebit`."""
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'deepspeed==0.17.6'"):
        check_installed()
    spec = SimpleNamespace(origin=str(tmp_path / '__init__.py'))
    monkeypatch.setattr('importlib.util.find_spec', lambda name: spec)
    with pytest.raises(ValueError, match=r"fails on the DeepSpeed that is here: pip install 'deepspeed==0.17.6'"):
        check_installed()
    (tmp_path / 'runtime/fp16/onebit').mkdir(parents=True)
    check_installed()


def test_groups_with_equal_settings_are_one() -> None:
    one, two, three, frozen = (nn.Parameter(torch.zeros(1)) for _ in range(4))
    frozen.requires_grad = False
    groups = [{'params': [p], 'lr': lr} for p, lr in ((one, 0.1), (two, 0.2), (three, 0.1), (frozen, 0.3))]
    assert merged_groups(groups) == [{'params': [one, three], 'lr': 0.1}, {'params': [two], 'lr': 0.2}]
