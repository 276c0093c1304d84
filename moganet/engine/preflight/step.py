"""One training step of a run, on its own data: that it works, and what it takes."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from torch import Tensor

from ...analysis import optimizer_tensors, peak_bytes, prime
from ...randomness import capture
from ..diagnosis import diagnose
from .free_memory import free_memory
from .result import FAILED, OK, WARNING, NotRunError
from .subject import Subject

# A norm over the batch needs two pictures.
_FEW = 2
# How long a step may take on a CPU, seconds; a batch that takes longer is scaled from fewer pictures.
_LONGEST = 8.0
# A step that takes less is timed once more, without the counting of memory, which slows it.
_SHORT = 3.0
# A step on a CPU is made of no more pictures than this part of the free memory holds.
_ROOM = 0.6


@dataclass(frozen=True)
class Trial:
    """A step that was made.

    Attributes:
        pictures: of its batch.
        seconds: it took.
        settled: bytes of tensors between two steps.
        peak: most bytes of tensors in it.
    """

    pictures: int
    seconds: float
    settled: int
    peak: int


@dataclass(frozen=True)
class Step:
    """The step of a run, from steps with as many or fewer pictures.

    Attributes:
        batch: pictures of the run's.
        trials: what was measured, the largest last.
        load_s: seconds in which one process makes a sample.
        terms: what is logged of each iteration, the terms of the loss among it.
    """

    batch: int
    trials: tuple[Trial, ...]
    load_s: float
    terms: int

    @property
    def seconds(self) -> float:
        """How long an iteration takes, without its data."""
        last = self.trials[-1]
        return last.seconds * self.batch / last.pictures

    @property
    def peak(self) -> float:
        """Most bytes of tensors: what grows with the batch is proportional to it."""
        return self.trials[-1].peak + self.picture_bytes * (self.batch - self.trials[-1].pictures)

    @property
    def picture_bytes(self) -> float:
        """What one picture more takes."""
        first, last = self.trials[0], self.trials[-1]
        if last.pictures > first.pictures:
            return max(0.0, (last.peak - first.peak) / (last.pictures - first.pictures))
        return (last.peak - last.settled) / last.pictures


def check_step(subject: Subject) -> tuple[str, str]:
    """Take a step with a batch of the training data, forward, backward and by the optimizer, and measure it.

    Raises:
        NotRunError: there is no model or no data, or the model has a training step of its own.
        ValueError: the loss or a gradient is not finite, or there is no batch.
    """
    subject.needs_config()
    if 'train' not in subject.loaders:
        raise NotRunError('it needs the training data')
    if getattr(type(subject.model), 'train_step', None) is not BaseModel.train_step:
        raise NotRunError(f'{type(subject.model).__name__} has a training step of its own')
    stepper = Stepper(subject)
    measure = on_cpu if subject.device.type == 'cpu' else on_gpu
    trials = measure(stepper, len(stepper.indices))
    subject.step = Step(subject.batch, trials, stepper.loading / len(stepper.samples), stepper.terms)
    last = trials[-1]
    of = '' if last.pictures == subject.batch else f' of {subject.batch}'
    text = (
        f'{last.pictures}{of} pictures of {stepper.shape} forward and backward on {subject.device.type} in '
        f'{last.seconds:.2f} s: loss {stepper.loss:.4g}, {stepper.trained - len(stepper.unused)} of {stepper.trained} '
        'parameters have gradients'
    )
    if of:
        text += '; what follows is scaled to the batch'
    return (OK, text) if not stepper.unused else _unused(subject, stepper.unused, text)


def _unused(subject: Subject, unused: list[str], text: str) -> tuple[str, str]:
    """Return what parameters without gradients mean: DDP waits for them for ever, or ends."""
    wrapper = subject.cfg.get('model_wrapper_cfg') or {}
    names = ', '.join(unused[:3]) + (f' and {len(unused) - 3} more' if len(unused) > 3 else '')
    text = f'{text}; none: {names}'
    if subject.cfg.get('find_unused_parameters') or wrapper.get('find_unused_parameters'):
        return OK, f'{text}, which find_unused_parameters=True allows'
    advice = 'freeze or remove them, or set find_unused_parameters=True, which several processes need'
    return (FAILED if subject.gpus > 1 else WARNING), f'{text}: {advice}'


class Stepper:
    """Takes training steps as a Runner does, in one process, with ever more pictures of one batch.

    Args:
        subject: whose model is trained, a few steps.

    Raises:
        ValueError: the data make no batch.
    """

    def __init__(self, subject: Subject) -> None:
        loader = subject.loaders['train']
        self.indices = list(next(iter(loader.batch_sampler), []))
        if not self.indices:
            raise ValueError(f'{len(loader.dataset):,} samples make no batch of {subject.batch}: take fewer')
        self.dataset, self.collate = loader.dataset, loader.collate_fn
        self.device, self.accumulates = subject.device, subject.accumulated > 1
        self.model: Any = revert_sync_batchnorm(subject.model).to(subject.device).train()
        _checkpoint_activations(self.model, subject.cfg.get('activation_checkpointing'))
        self.wrapper = build_optim_wrapper(self.model, deepcopy(subject.cfg.optim_wrapper))
        self.scaler = getattr(self.wrapper, 'loss_scaler', None)
        if self.scaler is None:  # a scaler wants a loss before the first step
            prime(self.wrapper)
        self.model.zero_grad(set_to_none=True)
        self.samples: list[Any] = []
        self.pictures = 0
        self.unused: list[str] = []
        self.loading, self.loss, self.terms, self.trained, self.shape = 0.0, 0.0, 0, 0, ''

    def batch(self, pictures: int) -> Any:
        """Return the first pictures of the batch, read once, and copied, since a model may change them."""
        start = time.perf_counter()
        for index in self.indices[len(self.samples) : pictures]:
            self.samples.append(self.dataset[index])
        self.loading += time.perf_counter() - start
        self.pictures = pictures
        return self.collate([deepcopy(sample) for sample in self.samples[:pictures]])

    def step(self, batch: Any) -> None:
        """Take a step.

        Raises:
            ValueError: the loss or a gradient is not finite.
        """
        random = capture()
        buffers = {name: value.clone() for name, value in self.model.named_buffers()}
        with self.wrapper.optim_context(self.model):
            data = self.model.data_preprocessor(batch, True)
            losses = self.model._run_forward(data, mode='loss')
        loss, logged = self.model.parse_losses(losses)
        self.loss, self.terms = float(loss.detach()), len(logged)
        if not torch.isfinite(loss.detach()).all():
            for name, value in self.model.named_buffers():  # norms have taken in what is not finite
                value.copy_(buffers[name])
            context = self.wrapper.optim_context(self.model)
            found = diagnose(self.model, context, self.batch(self.pictures), random)
            raise ValueError(f'the loss is {self.loss}. {found}')
        self.wrapper.backward(self.wrapper.scale_loss(loss))
        self._look_at_gradients()
        self.shape = _shape(data.get('inputs') if isinstance(data, dict) else None)
        self.wrapper.step()
        if not self.accumulates:
            self.wrapper.zero_grad()

    def _look_at_gradients(self) -> None:
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        self.trained, self.unused = len(named), [name for name, parameter in named if parameter.grad is None]
        if self.scaler is not None and self.scaler.is_enabled():
            return  # finds its scale by overflowing
        bad = [name for name, p in named if p.grad is not None and not torch.isfinite(p.grad).all()]
        if bad:
            raise ValueError(f'the loss is finite, {self.loss:.4g}, and gradients are not, the first that of {bad[0]}')

    def counted(self, pictures: int) -> Trial:
        """Take a step and count its tensors."""
        batch = self.batch(pictures)
        kept = [*self.model.parameters(), *self.model.buffers(), *optimizer_tensors(self.wrapper)]
        kept += [p.grad for p in self.model.parameters() if p.grad is not None]
        start = time.perf_counter()
        settled, peak = peak_bytes(lambda: self.step(batch), kept, [])
        return Trial(pictures, time.perf_counter() - start, settled, peak)

    def timed(self, pictures: int) -> float:
        """Take a step and return its seconds."""
        batch = self.batch(pictures)
        start = time.perf_counter()
        self.step(batch)
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - start


def on_cpu(stepper: Stepper, batch: int) -> tuple[Trial, ...]:
    """Measure a step on a CPU, with as many pictures of the batch as time and memory allow."""
    first = stepper.counted(min(_FEW, batch))
    trials = [first]
    each = max(1, (first.peak - first.settled) // first.pictures)
    in_memory = (_ROOM * free_memory(stepper.device) - first.settled) / each
    more = max(first.pictures, int(min(batch, _LONGEST / first.seconds * first.pictures, in_memory)))
    if more > first.pictures or stepper.accumulates:  # whose first step has no gradients of the one before
        trials.append(stepper.counted(more))
    if trials[-1].seconds < _SHORT:
        trials[-1] = replace(trials[-1], seconds=stepper.timed(trials[-1].pictures))
    return tuple(trials)


def on_gpu(stepper: Stepper, batch: int) -> tuple[Trial, ...]:
    """Measure a step on a GPU, with the batch; where that does not fit, with a half, a quarter and so on.

    Raises:
        ValueError: no picture fits.
    """
    pictures = batch
    while pictures:
        try:
            for _ in range(2):  # kernels are chosen, and the allocator's pool is filled
                stepper.timed(pictures)
            settled = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            seconds = min(stepper.timed(pictures) for _ in range(3))
            return (Trial(pictures, seconds, settled, torch.cuda.max_memory_reserved()),)
        except torch.cuda.OutOfMemoryError:
            stepper.model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()  # beyond the handler, whose traceback holds what did not fit
        pictures //= 2
    raise ValueError('out of memory with one picture')


def _checkpoint_activations(model: Any, modules: Any) -> None:
    if modules is not None:
        from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing

        turn_on_activation_checkpointing(model, modules)


def _shape(inputs: Any) -> str:
    if isinstance(inputs, (list, tuple)) and inputs:
        inputs = inputs[0]
    return ' x '.join(str(side) for side in inputs.shape[-2:]) if isinstance(inputs, Tensor) else 'unknown size'
