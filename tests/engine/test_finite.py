"""Losses and gradients that are not finite: told, with where they come from, and never taken into the weights."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from moganet.engine.faults import NotFiniteError
from moganet.engine.hooks import FiniteLossHook

from .toy import Samples, Toy, runner, same, weights

AT = 5  # the sixth iteration, within the second epoch


class Inject(Hook):
    """Put a number into one place of one iteration."""

    def __init__(self, place: str, number: float, at: int = AT) -> None:
        self.place, self.number, self.at = place, number, at

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        now = runner.iter == self.at
        model = runner.model
        model.number = self.number if now else None
        model.place = self.place
        if now and self.place == 'input':
            data_batch['inputs'][1][0] = self.number
        if now and self.place == 'weight':
            model.head.weight.data[0, 0] = self.number
        if now and self.place == 'gradient':
            handle = model.head.weight.register_hook(lambda gradient: handle.remove() or gradient * self.number)


class Injected(Toy):
    """A toy whose body or loss can be spoilt."""

    number: float | None = None
    place = ''

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        if self.place == 'module' and self.number is not None:
            self.body[2].register_forward_hook(lambda *args: args[-1] * self.number if self.number else None)
        losses = super().forward(inputs, data_samples, mode)
        if self.place == 'loss' and self.number is not None and mode == 'loss':
            losses['loss_sum'] = losses['loss_sum'] * self.number
        return losses


TOLD = {
    'input': 'the loss of iteration 6 is not finite .* the pictures, as the model is given them; terms of the loss',
    'weight': r'the loss of iteration 6 .* weights: head.weight; first module: head \(Linear\); terms of the loss',
    'module': r'the loss of iteration 6 .* not finite: first module: body.2 \(Dropout\); terms of the loss: loss_size',
    'loss': 'the loss of iteration 6 .* not finite: terms of the loss: loss_sum. Pictures',
    'gradient': 'a gradient of iteration 6 .* nowhere when the batch is computed once more, so in the gradients',
}


class Keep(Hook):
    """Keep the weights that an iteration begins with."""

    priority = 'LOWEST'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.weights = weights(runner)


@pytest.mark.parametrize('number', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('place', TOLD)
def test_a_run_ends_before_the_weights_are_spoilt(tmp_path: Path, place: str, number: float) -> None:
    keep = Keep()
    run = runner(tmp_path, Injected(), custom_hooks=[Inject(place, number), keep])
    with pytest.raises(NotFiniteError, match=TOLD[place]) as caught:
        run.train()
    changed = [name for name, value in weights(run).items() if not torch.equal(value, keep.weights[name])]
    # The statistics of norms have seen the batch; a test below has them kept, too. NaN is not even itself.
    assert all(name.startswith('body.1.') for name in changed) or (place, changed[-1]) == ('weight', 'head.weight')
    files = [f'pictures/{number}.jpg' for number in range(12)]
    assert sum(file in str(caught.value) for file in files) == 3
    saved = torch.load(tmp_path / 'not_finite_iter_6_rank_0.pkl', weights_only=False)
    assert saved['iter'] == 6 and len(saved['files']) == 3 and len(saved['batch']['inputs']) == 3
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['epoch_1.pth']


@pytest.mark.parametrize('place', ['input', 'module', 'loss', 'gradient'])
def test_a_batch_is_left_out(tmp_path: Path, place: str) -> None:
    """All that it leaves is nothing: neither in the weights, nor in the norms' statistics, nor in the optimizer."""
    keep = Keep()
    guard = {'type': 'FiniteLossHook', 'action': 'skip'}
    iterations = {'by_epoch': False, 'max_iters': AT + 1}
    run = runner(tmp_path, Injected(), custom_hooks=[Inject(place, math.nan), guard, keep], train_cfg=iterations)
    run.train()
    assert same(weights(run), keep.weights)
    (hook,) = (hook for hook in run.hooks if isinstance(hook, FiniteLossHook))
    assert hook.skipped == 1 and run.iter == AT + 1
    (step,) = {float(state['step']) for state in run.optim_wrapper.optimizer.state.values()}
    assert step == AT


def test_too_many_batches_left_out_end_the_run(tmp_path: Path) -> None:
    class Always(Samples):
        def prepare_data(self, index: int) -> dict[str, Any]:
            return {**super().prepare_data(index), 'inputs': torch.full((3,), math.nan)}

    guard = {'type': 'FiniteLossHook', 'action': 'skip', 'max_skipped': 3}
    loader = {'batch_size': 3, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler'}, 'dataset': Always()}
    run = runner(tmp_path, train_dataloader=loader, custom_hooks=[guard])
    with pytest.raises(NotFiniteError, match='iteration 4 .*after 3 batches that were left out'):
        run.train()


def test_the_guard_leaves_a_sound_run_as_it_is(tmp_path: Path) -> None:
    """And is there once, whether a config names it or not."""
    found: list[dict[str, torch.Tensor]] = []
    for hooks in (None, [{'type': 'FiniteLossHook', 'action': 'skip'}]):
        run = runner(tmp_path / str(len(found)), custom_hooks=hooks)
        run.train()
        assert [type(hook).__name__ for hook in run.hooks].count('FiniteLossHook') == 1
        assert 'backward' not in vars(run.optim_wrapper) and 'step' not in vars(run.optim_wrapper)
        found.append(weights(run))
    assert same(*found)


def test_schedulers_take_the_guarded_step_for_theirs(tmp_path: Path) -> None:
    schedule = {'type': 'LinearLR', 'by_epoch': False, 'begin': 0, 'end': 8}
    run = runner(tmp_path, param_scheduler=schedule)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        run.train()
    assert [str(warning.message) for warning in seen if 'optimizer.step()' in str(warning.message)] == []
    assert run.optim_wrapper._global_step == 7 and 'backward' not in vars(run.optim_wrapper)
    assert hasattr(run.optim_wrapper.step, '_with_counter')  # as it was


def test_an_unknown_action() -> None:
    with pytest.raises(ValueError, match="action='ignore'; it must be one of stop, skip"):
        FiniteLossHook('ignore')
