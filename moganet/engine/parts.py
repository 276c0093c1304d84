"""The tensors of a sharded model, of which each process has a part, and the whole ones that a checkpoint holds.

Torch's ``fully_shard`` makes each parameter a ``DTensor``: cut along its first axis, one part a process. Its names and
its order are those of the plain model, so that a checkpoint needs nothing but its tensors put together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmengine.dist import is_main_process
from torch import Tensor, nn


def _is_cut(tensor: Any) -> bool:
    # Torch before 2.5 has it under another name, and where nobody has imported it there is no such tensor.
    module = sys.modules.get('torch.distributed.tensor')
    kind = getattr(module, 'DTensor', None)
    return kind is not None and isinstance(tensor, kind)


def is_sharded(model: nn.Module) -> bool:
    """Whether each process has a part of the model's parameters alone."""
    return any(_is_cut(parameter) for parameter in model.parameters())


def part_of(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, which shares its memory; a plain tensor itself."""
    part: Tensor = tensor.to_local() if _is_cut(tensor) else tensor  # type: ignore[attr-defined]
    return part


def whole(tensor: Tensor) -> Tensor:
    """Put a tensor together; all processes have to call it."""
    put_together: Tensor = tensor.full_tensor() if _is_cut(tensor) else tensor  # type: ignore[attr-defined]
    return put_together


def cut_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Cut a whole tensor, which every process has, as a parameter is cut; no process hears of another.

    What belongs to a parameter and has another shape, as the count of an optimizer's steps, is left as it is.
    """
    if not _is_cut(parameter) or tensor.shape != parameter.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    place: Any = parameter
    whole_here = tensor.to(place.device)
    return distribute_tensor(whole_here, place.device_mesh, place.placements, src_data_rank=None)


def joined(part: Tensor, parameter: Tensor) -> Tensor:
    """Return the tensor of which this process has a part, cut as a parameter is."""
    if not _is_cut(parameter) or _is_cut(part):
        return part
    from torch.distributed.tensor import DTensor

    like: Any = parameter
    where = {'shape': like.shape, 'stride': like.stride()}
    return DTensor.from_local(part.to(like.device), like.device_mesh, like.placements, run_check=False, **where)


def gathered(named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Put tensors together, one after another, for the process that writes files; the others get nothing.

    All processes have to call it, with the same names in the same order.
    """
    main, found = is_main_process(), {}
    for name, value in named:
        put_together = whole(value) if isinstance(value, Tensor) else value
        if main:
            found[name] = put_together.cpu() if isinstance(put_together, Tensor) else put_together
    return found


def optimizer_parameters(optimizer: torch.optim.Optimizer) -> Iterator[tuple[int, Tensor]]:
    """Yield the parameters of an optimizer with the numbers that its state dict gives them."""
    yield from enumerate(parameter for group in optimizer.param_groups for parameter in group['params'])


class Parts(nn.Module):
    """The parts of a model's tensors that this process has, as plain tensors under the model's names.

    They share the model's memory, so that what is written to one is written to the other. It computes nothing. What
    averages weights copies it in the model's place, since torch refuses to copy a sharded model; each process then
    averages its own part.

    Args:
        model: sharded or not.
    """

    def __init__(self, model: nn.Module, known: dict[int, Any] | None = None) -> None:
        super().__init__()
        known = {} if known is None else known
        self.cut: set[str] = set()
        for name, parameter in model.named_parameters(recurse=False, remove_duplicate=False):
            if id(parameter) not in known:
                known[id(parameter)] = nn.Parameter(part_of(parameter.detach()), requires_grad=False)
            self.register_parameter(name, known[id(parameter)])
            if _is_cut(parameter):
                self.cut.add(name)
        for name, buffer in model._buffers.items():
            self.register_buffer(name, buffer, persistent=name not in model._non_persistent_buffers_set)
        for name, child in model._modules.items():
            if child is not None and id(child) not in known:
                known[id(child)] = Parts(child, known)
            self.add_module(name, None if child is None else known[id(child)])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take the parts of what is cut; what could not be, having another shape, is not loaded."""
        for name in self.cut:
            given = state_dict.pop(prefix + name, None)
            if given is not None and _is_cut(given):
                state_dict[prefix + name] = part_of(given)
        super()._load_from_state_dict(state_dict, prefix, *args)
