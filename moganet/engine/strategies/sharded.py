"""Each process keeps a part of the parameters, the gradients and the optimizer's state."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import mmengine
import torch
from mmengine._strategy import DDPStrategy
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.registry import STRATEGIES
from mmengine.runner.checkpoint import save_checkpoint
from torch import nn

from ...compat import quiet_console, torch_version
from ...models.layers import MogaBlock
from ..faults import stop_where_the_log_fails
from ..parts import Parts, cut_like, gathered, joined, optimizer_parameters

# Earlier ones keep the outermost parameters together after a forward pass, whatever they are told.
NEEDED_TORCH = (2, 8)
# What checkpoints hold of a model's tensors, and what precedes its names there.
_NAMED = {'state_dict': '', 'ema_state_dict': 'module.'}
_Named = dict[str, Any]
_STEPS = ('train_step', 'val_step', 'test_step', '_run_forward')


@STRATEGIES.register_module()
class FullyShardedStrategy(DDPStrategy):
    """Shard a model over the processes by torch's ``fully_shard``, with the checkpoints of a model that is not sharded.

    Each Moga block is gathered before it computes and given up after it, so that a process has one block whole at a
    time; what is outside of the blocks (patch embeddings, norms, neck, head) is gathered for the whole pass.

    MMEngine's own ``FSDPStrategy`` wraps by torch's older FullyShardedDataParallel, writes a folder of parts or an
    optimizer's state that no other Runner reads, and has no averaged weights. The arguments are those of MMEngine's
    ``DDPStrategy`` but for ``model_wrapper``. Without processes it does nothing, so that a test needs none.

    Raises:
        ValueError: torch is too old, or the model cannot be sharded; see :func:`check_shardable`.
    """

    model: Any
    optim_wrapper: Any

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger of the run, as ResumableRunner does."""
        logger = super().build_logger(*args, **kwargs)
        quiet_console(logger)
        stop_where_the_log_fails(logger)
        return logger

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        model = self.convert_model(model).to(get_device())
        if not self.distributed:
            return model
        check_shardable(model)
        return shard(model)

    # What a checkpoint holds. Hooks see the part of this process, so that each of them works as it does elsewhere.

    def save_checkpoint(
        self,
        filename: str,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        extra_ckpt: dict[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Write a whole checkpoint, as ResumableRunner's are; all processes have to call it, and the first writes."""
        checkpoint: dict[str, Any] = {'state_dict': self.model_state_dict()}
        if save_optimizer:
            checkpoint['optimizer'] = self.optim_state_dict()
        if save_param_scheduler and hasattr(self, 'param_schedulers'):
            checkpoint['param_schedulers'] = self.scheduler_state_dict()
        checkpoint.update(extra_ckpt or {})
        checkpoint.setdefault('meta', {}).update(
            seed=self.seed,
            time=time.strftime('%Y%m%d_%H%M%S', time.localtime()),
            mmengine_version=mmengine.__version__,
        )
        if callback is not None:
            callback(checkpoint)
        for key, prefix in _NAMED.items():
            if key in checkpoint:
                checkpoint[key] = self._put_together(checkpoint[key], prefix)
        if is_main_process():
            save_checkpoint(checkpoint, filename)

    def model_state_dict(self) -> _Named:
        """Return this process's part of the model's state."""
        return Parts(self.model).state_dict()

    def _put_together(self, parts: _Named, prefix: str) -> _Named:
        of = {prefix + name: parameter for name, parameter in self.model.named_parameters()}
        tensors = ((name, joined(part, of[name]) if name in of else part) for name, part in parts.items())
        together: _Named = OrderedDict(gathered(tensors))
        # What modules note beside their tensors, as MogaNet the gate's mode.
        noted = {(prefix + name).rstrip('.'): note for name, note in self.model.state_dict()._metadata.items()}
        together._metadata = {**getattr(parts, '_metadata', {}), **noted}  # type: ignore[attr-defined]
        return together

    def optim_state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state as that of a model that is not sharded has it, in the first process alone."""
        state = dict(self.optim_wrapper.state_dict())
        state['state'] = {number: gathered(one.items()) for number, one in state['state'].items()}
        return state

    # What is read from a checkpoint.

    def load_checkpoint(
        self,
        filename: str,
        *,
        callback: Callable[[dict[str, Any]], None] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Load a checkpoint of any strategy or Runner; hooks are shown its tensors cut as the model's are."""

        def cut(checkpoint: dict[str, Any]) -> None:
            for key, prefix in _NAMED.items():
                named: _Named = checkpoint.get(key, {})
                for name, parameter in self.model.named_parameters():
                    if prefix + name in named:
                        named[prefix + name] = cut_like(named[prefix + name], parameter)
            if callback is not None:
                callback(checkpoint)

        # A GPU need not have room for the whole of it.
        loaded: dict[str, Any] = super().load_checkpoint(filename, callback=cut, **{**options, 'map_location': 'cpu'})
        return loaded

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a whole state, each process its part."""
        state = dict(state_dict['state'])
        for number, parameter in optimizer_parameters(self.optim_wrapper.optimizer):
            if number in state:
                entries = state[number].items()
                state[number] = {name: _cut_entry(value, parameter) for name, value in entries}
        super().load_optim_state_dict({**state_dict, 'state': state})


def _cut_entry(value: Any, parameter: torch.Tensor) -> Any:
    return cut_like(value, parameter) if isinstance(value, torch.Tensor) else value


def check_shardable(model: nn.Module) -> None:
    """Refuse a model that torch cannot shard, or whose steps would not gather what they need.

    Raises:
        ValueError: torch is too old; the model has steps of its own, is wrapped, or has a parameter without an axis.
    """
    if torch_version() < NEEDED_TORCH:
        needed = '.'.join(map(str, NEEDED_TORCH))
        raise ValueError(f'sharding needs torch {needed} or newer, and this is {torch.__version__}; use --strategy ddp')
    kind = type(model).__name__
    if is_model_wrapper(model):
        raise ValueError(f'{kind} wraps a model for several processes already; it cannot be sharded')
    # Parameters are put together where the model is called; MMEngine's own steps do nothing else with it.
    own = [step for step in _STEPS if getattr(type(model), step, None) is not getattr(BaseModel, step)]
    if own:
        raise ValueError(f'{kind} has a {own[0]} of its own, which would compute with parts; use --strategy ddp')
    scalar = next((name for name, parameter in model.named_parameters() if not parameter.ndim), None)
    if scalar is not None:
        raise ValueError(f'{kind}.{scalar} is a number without an axis, which torch cannot cut; use --strategy ddp')


def shard(model: nn.Module) -> nn.Module:
    """Shard a model over all processes, in place: each Moga block for itself, and what is left together."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(str(get_device()), (get_world_size(),))
    blocks = [module for module in model.modules() if isinstance(module, MogaBlock)]
    for module in (*blocks, model):
        # The outermost too: a validation, or a batch that is left out, has no backward pass after which it would be.
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
    return model
