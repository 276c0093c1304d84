"""What `--strategy` makes of a config, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from moganet.engine import ShardedRunner
from moganet.engine.strategies.sharded import check_shardable
from moganet.engine.strategy_option import apply_strategy, check_launched, chosen_strategy, unsharded


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
