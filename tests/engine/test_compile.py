"""The hook that compiles a backbone: what is computed and the names of the weights stay."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.registry import HOOKS
from torch import Tensor, nn

from moganet import MogaNet
from moganet.engine.hooks import CompileHook, FuseHook
from moganet.engine.hooks import compile as compile_hook
from moganet.models.fused import FusedMogaNet

SMALL = {'embed_dims': [8, 8, 8, 8], 'depths': [1, 1, 1, 1], 'ffn_ratios': [2, 2, 2, 2]}


class Model(nn.Module):
    """A backbone in a model."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = MogaNet(SMALL, out_indices=3)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.backbone(x)[-1]
        return maps


def run_of(model: nn.Module) -> Any:
    return SimpleNamespace(model=model)


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    yield
    torch._dynamo.reset()


def test_training_and_evaluation_go_through_the_compiler_and_the_names_stay() -> None:
    hook = HOOKS.build(dict(type='CompileHook', backend='aot_eager', fullgraph=True))
    model, plain = Model().train(), Model().train()
    names = list(model.state_dict())
    hook.before_train(run_of(model))
    call = model.backbone._compiled_call_impl
    assert call is not None
    hook.before_val(run_of(model))
    assert model.backbone._compiled_call_impl is call  # once
    assert list(model.state_dict()) == names
    x = torch.randn(2, 3, 32, 32)
    for each in (model, plain):
        each(x).square().sum().backward()
    for (name, mine), theirs in zip(model.named_parameters(), plain.parameters()):
        assert mine.grad is not None and theirs.grad is not None, name
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(model.eval()(x), plain.eval()(x), rtol=1e-3, atol=1e-4)


def test_a_wrapped_model_and_a_fused_one_are_compiled_in_their_place() -> None:
    wrapper = nn.Sequential(Model()).eval()
    runner = run_of(wrapper[0])
    FuseHook().before_test(runner)
    CompileHook('eager').before_test(runner)
    assert type(runner.model.backbone) is FusedMogaNet and runner.model.backbone._compiled_call_impl is not None
    CompileHook('eager').before_train(run_of(wrapper))
    assert wrapper[0].backbone._compiled_call_impl is not None
    assert FuseHook.priority == 'HIGHEST' and CompileHook.priority == 'LOWEST'


def test_what_cannot_work_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"backend is 'inducter'; this torch has .*inductor"):
        CompileHook('inducter')
    with pytest.raises(ValueError, match='has no MogaNet in it'):
        CompileHook('eager').before_train(run_of(nn.Linear(1, 1)))
    monkeypatch.setattr(compile_hook.shutil, 'which', lambda name: None)
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(ValueError, match=r'needs a C\+\+ compiler on a CPU'):
        CompileHook().before_train(run_of(Model()))
