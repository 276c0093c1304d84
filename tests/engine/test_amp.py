from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from moganet.engine.amp_option import apply_amp, mend_amp_on_cpu
from moganet.engine.optimizers.amp import CpuAmpOptimWrapper, to_float32


class Detector(nn.Module):
    """Remember the precision in which each part computed."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.seen: dict[str, torch.dtype] = {}
        for name, part in self.named_children():
            part.register_forward_hook(lambda module, inputs, output, name=name: self._note(name, output))

    def _note(self, name: str, output: torch.Tensor) -> None:
        self.seen[name] = output.dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.neck(self.backbone(x))).sum()


def _wrapper(model: nn.Module, **options: int) -> CpuAmpOptimWrapper:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build({'type': 'CpuAmpOptimWrapper', 'optimizer': optimizer, **options})
    assert isinstance(wrapper, CpuAmpOptimWrapper)
    return wrapper


def test_backbone_and_neck_compute_in_bfloat16_and_the_head_does_not() -> None:
    model = Detector()
    inside: dict[str, bool] = {}
    for name, part in model.named_children():
        forward = part.forward

        def spy(x: torch.Tensor, name: str = name, forward: object = forward) -> torch.Tensor:
            inside[name] = torch.is_autocast_cpu_enabled()
            return forward(x)  # type: ignore[operator]

        part.forward = spy
    with _wrapper(model).optim_context(model):
        loss = model(torch.ones(2, 4))
    assert inside == {'backbone': True, 'neck': True, 'head': False}
    assert model.seen == dict.fromkeys(('backbone', 'neck', 'head'), torch.float32)
    assert loss.dtype is torch.float32


def test_the_model_is_as_before_even_after_an_error() -> None:
    model = Detector()
    with pytest.raises(RuntimeError, match='stop'), _wrapper(model).optim_context(model):
        raise RuntimeError('stop')
    assert 'forward' not in vars(model.backbone)


def test_a_step_moves_the_weights_about_as_float32_does() -> None:
    torch.manual_seed(0)
    plain, mixed = Detector(), Detector()
    mixed.load_state_dict(plain.state_dict())
    x = torch.randn(8, 4)
    plain(x).backward()
    with _wrapper(mixed).optim_context(mixed):
        loss = mixed(x)
    loss.backward()
    for name, parameter in mixed.named_parameters():
        expected = dict(plain.named_parameters())[name].grad
        # bfloat16 keeps eight bits.
        assert torch.allclose(parameter.grad, expected, rtol=0.05, atol=0.05), name


def test_to_float32_goes_into_containers_and_leaves_the_rest() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    maps, extra = to_float32(((half, half), {'scale': half, 'count': 3}))
    assert [value.dtype for value in maps] == [torch.float32] * 2
    assert extra['scale'].dtype is torch.float32 and extra['count'] == 3
    assert to_float32(torch.ones(1, dtype=torch.int64)).dtype is torch.int64


def _cfg(**wrapper: object) -> Config:
    return Config({'optim_wrapper': {'optimizer': {'type': 'SGD'}, **wrapper}})


def test_option_on_a_cpu() -> None:
    for choice in ('auto', 'bf16'):
        cfg = _cfg(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
        assert 'bf16 in backbone and neck' in apply_amp(cfg, choice)
        assert cfg.optim_wrapper == {'type': 'CpuAmpOptimWrapper', 'optimizer': {'type': 'SGD'}}
    with pytest.raises(ValueError, match='use --amp bf16'):
        apply_amp(_cfg(), 'fp16')
    with pytest.raises(ValueError, match="'ApexOptimWrapper'"):
        apply_amp(_cfg(type='ApexOptimWrapper'), 'bf16')


def test_option_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('moganet.engine.amp_option.on_cpu', lambda: False)
    cfg = _cfg()
    assert apply_amp(cfg, 'auto') == 'mixed precision: fp16'
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == ('AmpOptimWrapper', 'float16')
    assert cfg.optim_wrapper.loss_scale == 'dynamic'
    apply_amp(cfg, 'bf16')
    assert (cfg.optim_wrapper.dtype, cfg.optim_wrapper.loss_scale) == ('bfloat16', 1.0)
    apply_amp(cfg, 'fp16')  # which would overflow at the scale of bfloat16
    assert (cfg.optim_wrapper.dtype, cfg.optim_wrapper.loss_scale) == ('float16', 'dynamic')
    cfg = _cfg(type='AmpOptimWrapper', loss_scale=512.0)
    apply_amp(cfg, 'fp16')
    assert cfg.optim_wrapper.loss_scale == 512.0
    cfg = _cfg(type='AmpOptimWrapper')
    assert mend_amp_on_cpu(cfg) == [] and cfg.optim_wrapper.type == 'AmpOptimWrapper'


def test_a_config_with_amp_runs_on_a_cpu() -> None:
    cfg = _cfg(type='AmpOptimWrapper', loss_scale='dynamic')
    assert len(mend_amp_on_cpu(cfg)) == 1
    assert cfg.optim_wrapper.type == 'CpuAmpOptimWrapper' and 'loss_scale' not in cfg.optim_wrapper
    assert mend_amp_on_cpu(_cfg()) == []
