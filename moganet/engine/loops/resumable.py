"""What the two loops have in common: where a run stands, and how another process takes its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.runner import BaseLoop
from torch import Tensor
from torch.utils.data import DataLoader

from ...datasets.draws import DrawnBatches, with_draws
from ...randomness import capture, preserved, restore
from ..diagnosis import bare
from ..parts import cut_like, gathered, is_sharded

_SUCCESSORS = {'EpochBasedTrainLoop': 'ResumableEpochLoop', 'IterBasedTrainLoop': 'ResumableIterLoop'}


def resumable(loop: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a training loop with ours in place of MMEngine's; a loop of somebody's own stays.

    Args:
        loop: ``train_cfg`` of a config.
    """
    loop = dict(loop)
    if 'type' not in loop and 'by_epoch' in loop:
        loop['type'] = 'EpochBasedTrainLoop' if loop.pop('by_epoch') else 'IterBasedTrainLoop'
    kind = loop.get('type')
    name = kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', '')
    if name in _SUCCESSORS and (isinstance(kind, str) or kind.__module__.startswith('mmengine.')):
        loop['type'] = _SUCCESSORS[name]
    return loop


def _bare_names(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return gradients under the names of a model that nothing wraps; checkpoints have had those of DDP's wrapper."""
    return {name.removeprefix('module.'): gradient for name, gradient in gradients.items()}


def _mean(gradients: list[Tensor]) -> Tensor:
    """Return the mean over processes, which is what a sharded model has; the same ones are that to the last bit."""
    different = list({id(gradient): gradient for gradient in gradients}.values())
    return different[0] if len(different) == 1 else torch.stack(different).mean(0)


def _hand_on_seed(before: Any, after: Any) -> None:
    """Have a sampler shuffle by the seed of the one before it; MMEngine's draws one when none is given."""
    if getattr(before, 'seed', None) is not None and hasattr(after, 'seed'):
        after.seed = before.seed


class ResumableLoop(BaseLoop):
    """A training loop with a state beside the Runner's: what is drawn next, and the gradients under way.

    Two runs with the same seed draw the same, whether one was stopped on the way and whatever the number of workers.
    """

    _epoch: int
    _iter: int
    _dataloader: DataLoader[Any]

    def __init__(self, runner: Any, dataloader: Any, **options: Any) -> None:
        options_of_loader = {'seed': runner.seed, 'diff_rank_seed': runner._randomness_cfg.get('diff_rank_seed', False)}
        self._seed: int = runner.seed
        super().__init__(runner, runner.build_dataloader(dataloader, **options_of_loader), **options)
        self._resumed: dict[str, Any] | None = None
        self._before_validation: dict[str, Any] | None = None

    @property
    def dataloader(self) -> DataLoader[Any]:
        """The loader in use; one that a hook puts in its place is shuffled and drawn by the same seeds."""
        return self._dataloader

    @dataloader.setter
    def dataloader(self, loader: DataLoader[Any]) -> None:
        before = self.draws.sampler if hasattr(self, '_dataloader') else None
        self._dataloader = with_draws(loader, self._seed, get_rank(), get_world_size())
        _hand_on_seed(before, self.draws.sampler)

    @property
    def draws(self) -> DrawnBatches:
        """Which samples are drawn, and by which seeds."""
        draws = self._dataloader.batch_sampler
        assert isinstance(draws, DrawnBatches)  # the setter's
        return draws

    # What is kept.

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold for :meth:`go_on_from`; every process has to call it."""
        random = all_gather_object(self._before_validation or capture())
        # Of a sharded model they are added up over the processes already, so that they are the same in each.
        mine = self._gradients()
        gradients = [mine] * get_world_size() if is_sharded(self.runner.model) else all_gather_object(mine)
        buffers = all_gather_object(self._own_buffers())
        batches = self.draws
        return {
            'seed': self._seed,
            'sampler_seed': getattr(batches.sampler, 'seed', None),
            'batches': len(batches),
            'batch_size': batches.batch_size,
            'validated': self._before_validation is not None,
            'random': random,
            'gradients': gradients,
            'buffers': buffers,
        }

    def go_on_from(self, state: dict[str, Any] | None) -> None:
        """Take the place of the run whose :meth:`state` this is; None where a checkpoint has none."""
        self._resumed = state
        if state is None:
            self._say(
                'the checkpoint has no state of the random numbers (another Runner wrote it), so the run goes on with '
                'others than the run before would have drawn'
            )
            return
        batches = self.draws
        self._seed = batches.seed = state['seed']
        if state['sampler_seed'] is not None:
            batches.sampler.seed = state['sampler_seed']
        now = {'processes': get_world_size(), 'batch_size': batches.batch_size, 'batches': len(batches)}
        was = {'processes': len(state['random']), **{name: state[name] for name in ('batch_size', 'batches')}}
        changed = [f'{name}: {was[name]} before, {now[name]} now' for name in now if was[name] != now[name]]
        if changed:
            self._say(f'the run goes on otherwise than it began ({"; ".join(changed)}), so it is not the same run')

    # What the loops call.

    def begin(self) -> None:
        """Put back what the resumed run had under way, once everything is built and before anything is drawn."""
        state = self._resumed
        if state is None or len(state['random']) != get_world_size():
            return
        restore(state['random'][get_rank()])
        model = bare(self.runner.model)
        sharded = is_sharded(model)
        found = [_bare_names(one) for one in (state['gradients'] if sharded else [state['gradients'][get_rank()]])]
        for name, parameter in model.named_parameters():
            if name in found[0]:
                gradient = _mean([one[name] for one in found])
                gradient = gradient.to(parameter.device, copy=True)  # it may be a view of the file
                parameter.grad = cut_like(gradient, parameter)
        buffers = state['buffers'][get_rank()]
        for name, buffer in model.named_buffers():
            if name in buffers:
                buffer.copy_(buffers[name])

    def hook_again(self, name: str, again: bool) -> None:
        """Call a hook; one that the run before has called already takes no random numbers from the training."""
        with preserved() if again else contextlib.nullcontext():
            self.runner.call_hook(name)

    def validate_what_is_due(self) -> None:
        """Validate after a resume, where the run before was stopped between its checkpoint and its validation."""
        if self._iter and not (self._resumed or {}).get('validated', True):
            self.validate_if_due()

    def validate(self) -> None:
        """Run the validation; it takes no random numbers from the training."""
        with preserved() as self._before_validation:
            self.runner.val_loop.run()
        self._before_validation = None

    def validate_if_due(self) -> None:
        """Validate where the interval says so."""
        raise NotImplementedError

    def batches(self, epoch: int, skip: int) -> Iterator[Any]:
        """Return the batches of an epoch, less the first ones; none of those is decoded.

        Beginning takes no random numbers from the training, so that it may be done once more.
        """
        self.draws.start(epoch, skip)
        with preserved():
            return iter(self.dataloader)

    def _gradients(self) -> dict[str, Tensor]:
        """Return this process's gradients, where they are under way to an optimizer's step; nothing otherwise.

        Those of a sharded model are put together for the first process, which writes them, alone.
        """
        if self.runner.optim_wrapper.should_update():
            return {}
        model = bare(self.runner.model)
        named = [(name, parameter.grad) for name, parameter in model.named_parameters() if parameter.grad is not None]
        return gathered(named) if is_sharded(model) else {name: gradient.cpu() for name, gradient in named}

    def _own_buffers(self) -> dict[str, Tensor]:
        """Return what this process holds otherwise than the first one, whose buffers are those of the checkpoint.

        Without SyncBN each has running statistics of its own. The first one's alone would do for the weights; but what
        exchanges buffers, as SyncBuffersHook, brings the others' into the model that is saved.
        """
        if get_rank() == 0:
            return {}
        return {name: buffer.cpu() for name, buffer in bare(self.runner.model).named_buffers()}

    def _say(self, text: str) -> None:
        print_log(f'resume: {text}', logger='current', level=30)


