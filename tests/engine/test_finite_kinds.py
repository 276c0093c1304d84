"""Numbers that are not finite in the places where models differ: buffers, lists of losses, averages, precisions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

from moganet.checkpoints import open_checkpoint
from moganet.engine.faults import NotFiniteError
from moganet.engine.hooks import FiniteLossHook

from .toy import Toy, runner, same, weights

AT = 5  # the sixth iteration, within the second epoch


class Spoil(Hook):
    """Change the model before one iteration, and keep the weights that it begins with."""

    priority = 'LOWEST'

    def __init__(self, change: Any, at: int = AT) -> None:
        self.change, self.at = change, at

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.at:
            self.weights = weights(runner)
            self.change(runner)


class Scaled(Toy):
    """A toy with a buffer that its output is multiplied with."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('scale', torch.ones(1))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        losses = super().forward(inputs, data_samples, mode)
        return {name: value * self.scale.squeeze() for name, value in losses.items()} if mode == 'loss' else losses


class Levels(Toy):
    """A toy with a list for a term of the loss, as detectors have one for each level."""

    level: float | None = None

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        losses = super().forward(inputs, data_samples, mode)
        if mode == 'loss':
            one = losses['loss_size']
            losses['loss_bbox'] = [one, one * (1.0 if self.level is None else self.level), one]
        return losses


class Backbone(Toy):
    """A toy whose body is a backbone, which mixed precision looks for."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = self.body


class Refusing(Toy):
    """A toy whose head raises an error of its own when it is given no numbers, once its loss has been."""

    spoilt = 0

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        losses = super().forward(inputs, data_samples, mode)
        if self.spoilt:
            self.spoilt += 1
            if self.spoilt > 2:
                raise ValueError('matrix contains invalid numeric entries')
            losses['loss_size'] = losses['loss_size'] * math.nan
        return losses


def set_buffer(run: Any) -> None:
    run.model.scale.fill_(math.nan)


def set_weight(run: Any) -> None:
    run.model.head.weight.data[0, 0] = -math.inf


def freeze(run: Any) -> None:
    for parameter in run.model.head.parameters():
        parameter.requires_grad_(False)
    set_weight(run)


def blow_up(run: Any) -> None:
    """Finite gradients whose norm is not, in float32."""
    run.model.head.weight.register_hook(lambda gradient: torch.full_like(gradient, 3e38))


def divide(run: Any) -> None:
    run.model.body[2].register_forward_hook(lambda *args: args[-1] / torch.zeros_like(args[-1]))


def root(run: Any) -> None:
    """The root of zero: a finite loss, and a gradient that is not."""
    run.model.head.register_forward_hook(lambda *args: args[-1] + (args[-1] * 0).sqrt())


KINDS: dict[str, tuple[type[nn.Module], Any, str]] = {
    'a buffer': (Scaled, set_buffer, 'weights: scale; terms of the loss: loss_size, loss_sum, number'),
    'one of a list of losses': (Levels, lambda run: setattr(run.model, 'level', math.inf), 'the loss: loss_bbox. Pict'),
    'a frozen weight': (Toy, freeze, r'weights: head.weight; first module: head \(Linear\)'),
    'a norm of gradients': (Toy, blow_up, 'nowhere when the batch is computed once more, so in the gradients'),
    'a division': (Toy, divide, r'first module: body.2 \(Dropout\); terms of the loss: loss_size, loss_sum'),
    'a root': (Toy, root, 'nowhere when the batch is computed once more, so in the gradients'),
    'a head that refuses': (
        Refusing,
        lambda run: setattr(run.model, 'spoilt', 1),
        'computed once more the batch ends in ValueError: matrix contains invalid numeric entries',
    ),
}


@pytest.mark.parametrize('kind', KINDS)
def test_a_run_ends_before_the_weights_are_spoilt(tmp_path: Path, kind: str) -> None:
    model, change, told = KINDS[kind]
    spoil = Spoil(change)
    run = runner(tmp_path, model(), custom_hooks=[spoil])
    with pytest.raises(NotFiniteError, match=f'of iteration 6 is not finite .*{told}'):
        run.train()
    changed = {name for name, value in weights(run).items() if not torch.equal(value, spoil.weights[name])}
    assert changed <= {'scale', 'head.weight'} | {name for name in spoil.weights if name.startswith('body.1.')}
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']


@pytest.mark.parametrize('action', ['stop', 'skip'])
def test_the_last_of_accumulated_batches(tmp_path: Path, action: str) -> None:
    """The others' gradients are not lost with it when it is left out, and not stepped with when the run ends."""
    spoil = Spoil(lambda run: setattr(run.model, 'level', math.nan))
    options = {
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.01}, 'accumulative_counts': 3},
        'custom_hooks': [spoil, Spoil(lambda run: setattr(run.model, 'level', None), AT + 1)],
    }
    run = runner(tmp_path, Levels(), **{**options, 'custom_hooks': [
        *options['custom_hooks'], {'type': 'FiniteLossHook', 'action': action},
    ]})  # fmt: skip
    if action == 'stop':
        with pytest.raises(NotFiniteError, match='the loss of iteration 6 .* loss_bbox'):
            run.train()
        assert same(
            {name: value for name, value in weights(run).items() if 'body.1' not in name},
            {name: value for name, value in spoil.weights.items() if 'body.1' not in name},
        )
        return
    run.train()
    assert run.iter == 8 and all(bool(torch.isfinite(value).all()) for value in weights(run).values())
    assert not torch.equal(weights(run)['head.weight'], spoil.weights['head.weight'])


@pytest.mark.parametrize('action', ['stop', 'skip'])
def test_an_average_stays_finite(tmp_path: Path, action: str) -> None:
    spoil = Spoil(lambda run: setattr(run.model, 'level', math.nan))
    mend = Spoil(lambda run: setattr(run.model, 'level', None), AT + 1)
    hooks = [spoil, mend, {'type': 'EMAHook', 'momentum': 0.1}, {'type': 'FiniteLossHook', 'action': action}]
    run = runner(tmp_path, Levels(), custom_hooks=hooks)
    if action == 'stop':
        with pytest.raises(NotFiniteError, match='the loss of iteration 6'):
            run.train()
    else:
        run.train()
    name = 'epoch_1.pth' if action == 'stop' else 'epoch_2.pth'
    found = open_checkpoint(tmp_path / name, foreign=True).data
    for part in ('state_dict', 'ema_state_dict'):
        assert all(bool(torch.isfinite(value).all()) for value in found[part].values()), part


def test_under_bfloat16(tmp_path: Path) -> None:
    """What is finite in float32 may not be in half the bits; the diagnosis computes as the run does."""

    def spoil(run: Any) -> None:
        run.model.body[0].weight.data.fill_(3.3895e38)  # bfloat16 ends at 3.3895e38

    wrapper = {'type': 'CpuAmpOptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.01}}
    run = runner(tmp_path, Backbone(), custom_hooks=[Spoil(spoil)], optim_wrapper=wrapper)
    with pytest.raises(NotFiniteError, match='the loss of iteration 6 .*first module: (body|backbone).0'):
        run.train()


# fp16's loss scale.


class Scaler:
    """What torch's GradScaler does, on a CPU: scales, leaves out what overflows, halves, and doubles after a while."""

    def __init__(self, init_scale: float = 2.0**20, growth_interval: int = 4) -> None:
        self.value, self.interval, self.good, self.overflow = init_scale, growth_interval, 0, False

    def is_enabled(self) -> bool:
        return True

    def get_scale(self) -> float:
        return self.value

    def scale(self, loss: Tensor) -> Tensor:
        return loss * self.value

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        gradients = [parameter.grad for group in optimizer.param_groups for parameter in group['params']]
        self.overflow = any(not bool(torch.isfinite(gradient).all()) for gradient in gradients)
        if not self.overflow:
            for gradient in gradients:
                gradient.div_(self.value)
            optimizer.step()

    def update(self, fixed: float | None = None) -> None:
        self.good = 0 if self.overflow else self.good + 1
        if fixed is not None:
            self.value = fixed
        elif self.overflow:
            self.value /= 2
        elif self.good == self.interval:
            self.value, self.good = self.value * 2, 0

    def state_dict(self) -> dict[str, float]:
        return {'scale': self.value, 'good': self.good}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.value, self.good = state['scale'], int(state['good'])


@pytest.fixture
def fp16(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return MMEngine's own wrapper for fp16, on a CPU, with the scaler above."""
    from mmengine.optim.optimizer import amp_optimizer_wrapper as module

    monkeypatch.setattr(module, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(module, 'GradScaler', Scaler)
    monkeypatch.setattr(module.AmpOptimWrapper, 'optim_context', OptimWrapper.optim_context)
    assert OPTIM_WRAPPERS.get('AmpOptimWrapper') is module.AmpOptimWrapper
    return {'type': 'AmpOptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.001}}


class Half(Toy):
    """A toy whose gradients end where float16 does."""

    def __init__(self, largest: float = 65504.0) -> None:
        super().__init__()
        for parameter in self.parameters():
            parameter.register_hook(
                lambda gradient: torch.where(gradient.abs() < largest, gradient, torch.full_like(gradient, math.inf))
            )


ITERATIONS = {'by_epoch': False, 'max_iters': 30}
EACH = {'checkpoint': {'type': 'CheckpointHook', 'interval': 10, 'by_epoch': False}}


def test_the_scale_finds_its_size_and_goes_on_with_it(tmp_path: Path, fp16: dict[str, Any]) -> None:
    """Overflows now and then are no fault; the scale is in the checkpoint, and a resumed run has it."""
    whole = runner(tmp_path / 'whole', Half(), optim_wrapper=fp16, train_cfg=ITERATIONS, default_hooks=EACH)
    before = weights(whole)
    whole.train()
    scale = whole.optim_wrapper.loss_scaler.value
    assert 1 < scale < 2.0**20 and not torch.equal(weights(whole)['head.weight'], before['head.weight'])
    (tmp_path / 'run').mkdir()
    (tmp_path / 'whole/iter_20.pth').rename(tmp_path / 'run/iter_20.pth')
    saved = open_checkpoint(tmp_path / 'run/iter_20.pth', foreign=True).data['optimizer']['loss_scaler']
    assert saved['scale'] < 2.0**20
    again = runner(
        tmp_path / 'run', Half(), optim_wrapper=fp16, train_cfg=ITERATIONS, default_hooks=EACH, resume=True,
        load_from=str(tmp_path / 'run/iter_20.pth'),
    )  # fmt: skip
    again.train()
    assert again.optim_wrapper.loss_scaler.value == scale and same(weights(again), weights(whole))


@pytest.mark.parametrize('allowed', [25, 3])
def test_a_scale_that_finds_no_size_ends_the_run(tmp_path: Path, fp16: dict[str, Any], allowed: int) -> None:
    guard = {'type': 'FiniteLossHook', 'max_overflows': allowed}
    options = {'optim_wrapper': fp16, 'train_cfg': ITERATIONS, 'custom_hooks': [guard]}
    run = runner(tmp_path, Half(largest=0.0), **options)
    before = weights(run)
    told = f"fp16's gradients have overflowed {allowed + 1} steps in a row, to iteration {allowed + 1}.*--amp bf16"
    with pytest.raises(NotFiniteError, match=told):
        run.train()
    assert torch.equal(weights(run)['head.weight'], before['head.weight'])
    assert list(tmp_path.glob('not_finite*')) == []


def test_under_a_fixed_scale_a_gradient_is_a_fault_at_once(tmp_path: Path, fp16: dict[str, Any]) -> None:
    """bfloat16 on a GPU has the scale 1, which is not searched for: the scaler would leave steps out for ever."""
    run = runner(tmp_path, Half(largest=0.0), optim_wrapper={**fp16, 'loss_scale': 1.0}, train_cfg=ITERATIONS)
    with pytest.raises(NotFiniteError, match='a gradient of iteration 1 is not finite'):
        run.train()


def test_a_loss_under_a_scale_is_told_as_a_loss(tmp_path: Path, fp16: dict[str, Any]) -> None:
    run = runner(tmp_path, Levels(), optim_wrapper=fp16, custom_hooks=[
        Spoil(lambda run: setattr(run.model, 'level', math.nan)),
    ])  # fmt: skip
    with pytest.raises(NotFiniteError, match='the loss of iteration 6 .*loss_bbox'):
        run.train()


def test_of_a_run_that_goes_on_the_hook_counts_no_overflows(tmp_path: Path, fp16: dict[str, Any]) -> None:
    run = runner(tmp_path, Half(), optim_wrapper=fp16, train_cfg=ITERATIONS)
    run.train()
    (hook,) = (hook for hook in run.hooks if isinstance(hook, FiniteLossHook))
    assert hook.overflows <= 1 and hook.skipped == 0
