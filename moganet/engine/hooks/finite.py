"""Stop before numbers that are not finite reach the weights."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import Tensor, nn

from ...randomness import capture
from ...whole_file import replacing
from ..diagnosis import Diagnosis, bare, diagnose, files_of, loose_copy
from ..faults import NotFiniteError
from ..parts import is_sharded, part_of

_ACTIONS = ('stop', 'skip')
_CHECKED = ('backward', 'step')  # of the optimizer's wrapper


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """See that loss and gradients are finite before the optimizer's step; the weights never take one that is not.

    Args:
        action: ``stop`` ends the run; ``skip`` leaves the batch out, and all processes do so together.
        max_skipped: with ``skip``, how many batches in all; one more ends the run.
        max_overflows: how many steps in a row fp16's loss scale may be too large for; one more ends the run. One now
            and then is how the scale is found, and no fault.
    """

    priority = 'VERY_HIGH'

    def __init__(self, action: str = 'stop', max_skipped: int = 10, max_overflows: int = 25) -> None:
        if action not in _ACTIONS:
            raise ValueError(f'FiniteLossHook: action={action!r}; it must be one of {", ".join(_ACTIONS)}')
        for name, number in (('max_skipped', max_skipped), ('max_overflows', max_overflows)):
            if not isinstance(number, int) or number < 0:
                raise ValueError(f'FiniteLossHook: {name}={number!r}; it must be a whole number of at least 0')
        self.action = action
        self.max_skipped, self.max_overflows = max_skipped, max_overflows
        self.skipped = self.overflows = 0
        self._left_out = False  # the last batch

    def before_train(self, runner: Any) -> None:
        """Take a place between the loss and the optimizer."""
        self.runner = runner
        self.wrapper = runner.optim_wrapper
        # Its processes compute nothing alone, so that they leave a step, and look for the reason, together.
        self.sharded = is_sharded(runner.model)
        self._backward, self._step = self.wrapper.backward, self.wrapper.step
        # MMEngine's schedulers put a step that counts on the wrapper too, and ask for its mark, which wraps() copies.
        self._replaced = {name: vars(self.wrapper)[name] for name in _CHECKED if name in vars(self.wrapper)}
        self.wrapper.backward = self._checked_backward
        self.wrapper.step = functools.wraps(self._step)(functools.partial(self._checked_step))

    def after_train(self, runner: Any) -> None:
        """Leave it again."""
        for name in _CHECKED:
            delattr(self.wrapper, name)
        vars(self.wrapper).update(self._replaced)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Keep what a diagnosis would need, and what a batch that is left out must not change."""
        self.batch, self.random = loose_copy(data_batch), capture()
        if self.action == 'skip':
            self.buffers = {name: value.clone() for name, value in runner.model.named_buffers()}

    def _checked_backward(self, loss: Tensor, **options: Any) -> None:
        finite = bool(torch.isfinite(loss.detach()).all())
        self._left_out = False
        if self._is_agreed(finite):
            self._backward(loss, **options)
            return
        self._refuse('the loss', finite)
        self.wrapper._inner_count += 1
        self._left_out = True

    def _checked_step(self, **options: Any) -> None:
        gradients = self._gradients()
        if not gradients:  # of a batch that was left out
            return
        if self._left_out and not self.sharded and get_world_size() > 1:
            # DDP adds up over the processes with the last batch of a step alone, and this step's is left out.
            for gradient in gradients:
                all_reduce(gradient, op='mean')
        # A norm is finite if all its numbers are, but for an overflow of the norm itself, which is a fault as well.
        finite = bool(torch.isfinite(torch.stack(torch._foreach_norm(gradients))).all())
        finite = self._is_agreed(finite) if self.sharded else finite  # each has looked at its own part
        scaler = getattr(self.wrapper, 'loss_scaler', None)
        if scaler is not None and scaler.is_enabled():
            before = scaler.get_scale()
            self._step(**options)  # which leaves out what is not finite, and lowers the scale, unless that is fixed
            if not finite and scaler.get_scale() >= before:
                self._refuse('a gradient', finite)
            else:
                self._count_overflows(finite, scaler.get_scale())
        elif finite if self.sharded else self._is_agreed(finite):
            self._step(**options)
        else:
            self._refuse('a gradient', finite)

    def _gradients(self) -> list[Tensor]:
        groups = self.wrapper.optimizer.param_groups
        found = [parameter.grad for group in groups for parameter in group['params'] if parameter.grad is not None]
        return [part_of(gradient) for gradient in found]

    def _is_agreed(self, finite: bool) -> bool:
        """Whether it is so in every process: where one leaves a batch out, all have to."""
        if get_world_size() == 1 or not self._is_together:
            return finite
        agreed = torch.tensor(float(finite), device=next(self.runner.model.parameters()).device)
        all_reduce(agreed, op='min')
        return bool(agreed)

    @property
    def _is_together(self) -> bool:
        return self.sharded or self.action == 'skip'

    def _refuse(self, what: str, finite: bool) -> None:
        """End the run, or note that a batch is left out.

        Args:
            what: that is not finite, in some process.
            finite: whether it is finite in this one.

        Raises:
            NotFiniteError: the run ends.
        """
        done = self.runner.iter + 1
        skips = self.action == 'skip' and self.skipped < self.max_skipped
        if skips:
            self.skipped += 1
            told = f'left out, {self.skipped} of at most {self.max_skipped}'
        else:
            left = f', after {self.skipped} batches that were left out' if self.skipped else ''
            told = f'the run ends{left}; its checkpoints are whole, and --resume auto goes on from the last one'
        diagnosis = '' if finite and not self.sharded else self._diagnose()
        found = '' if finite else f'{diagnosis}. The batch: {self._save(done, weights=not skips)}'
        text = f'{what} of iteration {done} is not finite ({told}). {self._found_anywhere(found)}'
        if not skips:
            raise NotFiniteError(text)
        with torch.no_grad():
            for name, value in self.runner.model.named_buffers():
                value.copy_(self.buffers[name])
        print_log(text, logger='current', level=30)

    def _found_anywhere(self, found: str) -> str:
        """Return what was found in this process, or, where all are here together, in each that has found something."""
        if get_world_size() == 1 or not self._is_together:
            return found
        everyone = enumerate(all_gather_object(found))
        return '; '.join(f'process {rank}: {one}' for rank, one in everyone if one)

    def _diagnose(self) -> Diagnosis:
        model = bare(self.runner.model)
        return diagnose(model, self.wrapper.optim_context(model), self.batch, self.random)

    def _save(self, done: int, weights: bool) -> str:
        """Write the batch, and what else :func:`..replay.replay` needs; return the file, or why there is none."""
        path = Path(self.runner.work_dir, f'not_finite_iter_{done}_rank_{get_rank()}.pkl')
        files = files_of(self.batch)
        saved: dict[str, Any] = {'batch': self.batch, 'files': files, 'random': self.random, 'iter': done}
        if weights and not _is_in_parts(self.runner.model):
            saved['weights'] = bare(self.runner.model).state_dict()
        buffer = io.BytesIO()
        torch.save(saved, buffer)
        try:
            with replacing(path) as new:
                new.file.write(buffer.getbuffer())
        except OSError as error:  # which must not hide what it is written for
            return f'{path} cannot be written: {error.strerror}'
        return str(path)

    def _count_overflows(self, finite: bool, scale: float) -> None:
        """Tell a loss scale that is being found from gradients that no scale makes finite.

        Raises:
            NotFiniteError: too many steps in a row were left out.
        """
        self.overflows = 0 if finite else self.overflows + 1
        if self.overflows > self.max_overflows:
            done = self.runner.iter + 1
            raise NotFiniteError(
                f"fp16's gradients have overflowed {self.overflows} steps in a row, to iteration {done}, and the loss "
                f'scale is down at {scale:g}; the losses themselves are finite. {self._diagnose()}. '
                'Train with --amp bf16, or with a lower learning rate or clipped gradients'
            )


def _is_in_parts(model: nn.Module) -> bool:
    """Whether a process has a part of the weights alone, so that all of them would have to give theirs."""
    wrapped = is_model_wrapper(model) and not isinstance(model, nn.parallel.DistributedDataParallel)
    return wrapped or is_sharded(model)
