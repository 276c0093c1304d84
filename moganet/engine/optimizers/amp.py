"""Automatic mixed precision for training on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

# mmcv's operators (nms, RoIAlign, ...) take no bfloat16 on the CPU, so the heads, which use them, stay in float32.
_AUTOCAST_PARTS = ('backbone', 'neck')


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Train with bfloat16 autocast on the CPU, where MMEngine's ``AmpOptimWrapper`` refuses to run.

    The model's backbone and neck compute under autocast and hand float32 maps to the heads. bfloat16 has the exponent
    range of float32, so no loss scaling is needed. The arguments are those of
    :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast backbone and neck within this block; gradient accumulation works as in the parent class."""
        inner = model.module if is_model_wrapper(model) else model
        parts = [getattr(inner, name, None) for name in _AUTOCAST_PARTS]
        with super().optim_context(model), ExitStack() as stack:
            for part in parts:
                if isinstance(part, nn.Module):
                    stack.enter_context(_autocast_forward(part))
            yield


@contextmanager
def _autocast_forward(module: nn.Module) -> Iterator[None]:
    """Replace a module's ``forward`` by one that computes in bfloat16 and returns float32, for this block."""
    forward: Callable[..., Any] = module.forward

    def autocast(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast('cpu', dtype=torch.bfloat16):
            outputs = forward(*args, **kwargs)
        return to_float32(outputs)

    had_own = 'forward' in vars(module)
    module.forward = autocast
    try:
        yield
    finally:
        if had_own:
            module.forward = forward
        else:
            del module.forward


def to_float32(outputs: Any) -> Any:
    """Cast the bfloat16 tensors in nested tuples, lists and dicts to float32; leave everything else as it is."""
    if isinstance(outputs, torch.Tensor):
        return outputs.float() if outputs.dtype is torch.bfloat16 else outputs
    if isinstance(outputs, dict):
        return {key: to_float32(value) for key, value in outputs.items()}
    if isinstance(outputs, (tuple, list)):
        return type(outputs)(to_float32(value) for value in outputs)
    return outputs
