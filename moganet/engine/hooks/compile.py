"""Compile the backbones of a model."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import nn

from ...models.backbones.moganet import MogaNet
from ...models.fused import FusedMogaNet

_COMPILERS = ('g++', 'clang++', 'c++', 'cl')


@HOOKS.register_module()
class CompileHook(Hook):
    """Run each MogaNet by torch's compiler, in training and evaluation, in the model of whatever task.

    ``custom_hooks = [dict(type='CompileHook')]``. MMEngine's own ``compile = True`` gives a whole training step to the
    compiler, with losses and optimizer, which it cannot follow at many a place; this is the backbone alone. It is
    compiled in place: parameters and checkpoints keep their names. With ``--fused`` the fused form is compiled.

    Args:
        backend: ``inductor`` needs a C++ compiler on a CPU and triton on a GPU.
        mode: ``reduce-overhead`` records CUDA graphs, which serves small batches on a GPU; ``max-autotune`` tries more
            kernels.
        dynamic: False compiles for each size of the pictures; None for any from the second one on.
        fullgraph: refuse what cannot be compiled, in place of running that part as it is.
    """

    priority = 'LOWEST'  # after FuseHook has put the fused form in its place

    def __init__(
        self,
        backend: str = 'inductor',
        mode: str | None = None,
        dynamic: bool | None = None,
        fullgraph: bool = False,
    ) -> None:
        known = torch.compiler.list_backends(exclude_tags=())
        if backend not in known:
            raise ValueError(f'CompileHook: backend is {backend!r}; this torch has {", ".join(known)}')
        self.options: dict[str, Any] = dict(backend=backend, mode=mode, dynamic=dynamic, fullgraph=fullgraph)

    def before_train(self, runner: Any) -> None:
        """Compile."""
        self._compile(runner.model)

    def before_val(self, runner: Any) -> None:
        """Compile, where it has not been done before a training."""
        self._compile(runner.model)

    def before_test(self, runner: Any) -> None:
        """Compile."""
        self._compile(runner.model)

    def _compile(self, model: nn.Module) -> None:
        backbones = [module for module in model.modules() if isinstance(module, (MogaNet, FusedMogaNet))]
        if not backbones:
            raise ValueError(f'CompileHook: {type(model).__name__} has no MogaNet in it; that is what it compiles')
        if self.options['backend'] == 'inductor':
            _check_tools(next(backbones[0].parameters()).device.type)
        for backbone in backbones:
            if backbone._compiled_call_impl is None:
                backbone.compile(**self.options)


def _check_tools(device: str) -> None:
    """Refuse what the compiler would fail at, in its own words, after the first batch.

    Raises:
        ValueError: it lacks what it makes its kernels with.
    """
    named = os.environ.get('CXX')
    if device == 'cpu' and not any(shutil.which(name) for name in ((named,) if named else _COMPILERS)):
        raise ValueError(
            f'CompileHook: inductor needs a C++ compiler on a CPU, and found none of {named or ", ".join(_COMPILERS)}; '
            'install g++, or take the hook out'
        )
    if device == 'cuda' and find_spec('triton') is None:
        raise ValueError('CompileHook: inductor needs triton on a GPU; pip install triton, or take the hook out')
