"""How much memory one training step of the model that a config describes takes: bytes of tensors, counted.

Each storage that torch makes is noted while a step runs (forward, backward, optimizer), and taken off when it is freed;
the peak of the sum is the figure. It is what ``torch.cuda.max_memory_allocated`` sees of tensors, and less than what a
GPU needs: the CUDA context, the work spaces of cuDNN's kernels and what the allocator loses to rounding and
fragmentation come on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from ..compat import checkpointing_of_shapes
from ..models.layers import channel_aggregation, depthwise
from .complexity import Shape, build_model, default_shape, image_channels
from .samples import good_proposals, training_samples

# Models whose training step asks for no value of a tensor, so that shapes alone can go through it.
_BY_SHAPES = ('mmpretrain', 'mmseg', 'mmpose')
# What mmseg logs beside the loss, which does ask for values.
_SEGMENTATION_SCORE = 'mmseg.models.decode_heads.decode_head.accuracy'


@dataclass(frozen=True)
class Memory:
    """What a training step takes, bytes.

    Attributes:
        peak: most bytes of tensors alive at one time.
        settled: what stays between two steps: parameters, buffers, the optimizer's state, an average of the weights,
            and with accumulation the gradients.
        batch: pictures of a step.
        shape: height and width of each, pixels.
        by_shapes: whether shapes alone went through the model, or real pictures.
    """

    peak: int
    settled: int
    batch: int
    shape: Shape
    by_shapes: bool


def training_shape(cfg: Any) -> Shape:
    """Height and width of the pictures that a config trains on, padded as its model pads them.

    Detection: 1344 x 800, COCO's largest at a scale of (1333, 800), on its side or not.

    Raises:
        ValueError: the training pipeline does not tell a size.
    """
    scope = cfg.get('default_scope')
    if scope == 'mmdet':
        return 800, 1344
    if scope == 'mmpose':
        return default_shape(cfg)
    size = (cfg.get('model') or {}).get('data_preprocessor', {}).get('size')
    if scope == 'mmseg' and size:
        return int(size[0]), int(size[1])
    for step in _steps(cfg.train_dataloader.dataset.get('pipeline') or []):
        found = step.get('scale')
        if isinstance(found, int):
            return found, found
    raise ValueError('the training pipeline of this config tells no size of a picture; give one: --shape HEIGHT WIDTH')


def _steps(pipeline: Any) -> Iterator[dict[str, Any]]:
    """The steps of a pipeline, those inside a choice included."""
    for step in pipeline:
        if isinstance(step, (list, tuple)):
            yield from _steps(step)
        else:
            yield step
            yield from _steps(step.get('transforms') or [])


def training_memory(cfg: Any, batch: int | None = None, shape: Shape | None = None) -> Memory:
    """Count the memory of one training step in float32; nothing is downloaded.

    For classification, segmentation and pose shapes alone go through the model, so that no batch is too large for this
    machine. A detector's losses depend on values: real pictures of noise with eight objects each go through it on the
    processor, in the steps that a GPU takes, which needs the memory and minutes.

    Args:
        cfg: the config; its toolbox has been imported, and its scope entered.
        batch: pictures of a step; the config's own when None.
        shape: height and width; :func:`training_shape` when None.

    Raises:
        ValueError: a batch below 1, no size in the config, or a model that cannot take such pictures.
    """
    batch = int(cfg.train_dataloader.batch_size) if batch is None else batch
    if batch < 1:
        raise ValueError(f'batch is {batch}; at least one picture is needed')
    shape = (shape[0], shape[1]) if shape else training_shape(cfg)
    scope = str(cfg.get('default_scope'))
    by_shapes = scope in _BY_SHAPES
    device = 'meta' if by_shapes else 'cpu'
    model: Any = build_model(cfg, device).train()
    if scope == 'mmpose':
        model.train_cfg = {**(model.train_cfg or {}), 'compute_acc': False}  # a score that needs values
    averaged = [deepcopy(model) for hook in cfg.get('custom_hooks') or [] if hook.get('type') == 'EMAHook']
    optim_wrapper = build_optim_wrapper(model, in_float32(cfg.optim_wrapper))
    prime(optim_wrapper)
    samples = training_samples(cfg, scope, batch, shape, device)
    inputs = torch.zeros(batch, image_channels(cfg), *shape, device=device)
    if not by_shapes:
        inputs.normal_()

    def step() -> None:
        losses = model(inputs, samples, mode='loss')
        optim_wrapper.backward(model.parse_losses(losses)[0])
        optim_wrapper.step()

    kept = [*model.parameters(), *model.buffers(), *optimizer_tensors(optim_wrapper)]
    kept += [tensor for copy in averaged for tensor in (*copy.parameters(), *copy.buffers())]
    kept += [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    try:
        with _as_on_a_gpu(scope), good_proposals(model, samples), checkpointing_of_shapes():
            settled, peak = peak_bytes(step, kept, [inputs])
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise ValueError(
            f'{batch} picture(s) of {shape[0]} x {shape[1]} cannot go through a training step: {error}'
        ) from error
    return Memory(peak, settled, batch, shape, by_shapes)


def peak_bytes(work: Callable[[], Any], kept: list[Tensor], given: list[Tensor]) -> tuple[int, int]:
    """Run some work and count the tensors alive in it.

    Args:
        work: what is run; what it returns is not kept.
        kept: tensors that are there before and after.
        given: further tensors that are there before, such as the pictures.

    Returns:
        The bytes of ``kept``, and the most bytes alive at one time, ``kept`` and ``given`` included.
    """
    counter = _LiveStorages()
    for tensor in kept:
        counter.note(tensor)
    settled = counter.alive
    for tensor in given:
        counter.note(tensor)
    with counter:
        work()
    return settled, counter.peak


class _LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations return, and takes off those that torch has freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = 0
        self.peak = 0
        self._seen: dict[int, tuple[StorageWeakRef, int]] = {}

    def note(self, tensor: Tensor) -> None:
        """Count the storage of a tensor, once for all its views."""
        storage = tensor.untyped_storage()
        # Torch's own weak reference: one of Python's, to the storage's object, crashes torch 2.1. While it is held,
        # no other storage gets this key.
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen[key] = StorageWeakRef(storage), size  # type: ignore[no-untyped-call]
        self.alive += size
        if self.alive > self.peak:
            self._take_off_freed()
            self.peak = max(self.peak, self.alive)

    def _take_off_freed(self) -> None:
        for key, (reference, size) in list(self._seen.items()):
            if reference.expired():  # type: ignore[no-untyped-call]
                self.alive -= size
                del self._seen[key]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_flatten(out)[0]:
            if isinstance(leaf, Tensor):
                self.note(leaf)
        return out


def in_float32(described: Any) -> Any:
    """Return the config of an optimizer wrapper without mixed precision, which MMEngine refuses where no GPU is."""
    described = deepcopy(described)
    if described.get('type') in ('AmpOptimWrapper', 'CpuAmpOptimWrapper'):
        described['type'] = 'OptimWrapper'
        for key in ('dtype', 'loss_scale', 'use_fsdp'):
            described.pop(key, None)
    return described


def prime(optim_wrapper: OptimWrapper) -> None:
    """Bring an optimizer to where it is between two steps: its state is there, and so are accumulated gradients."""
    for group in optim_wrapper.param_groups:
        for parameter in group['params']:
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
    optim_wrapper.optimizer.step()  # without the clipping of gradients, which asks for their values
    if getattr(optim_wrapper, '_accumulative_counts', 1) == 1:
        optim_wrapper.zero_grad(set_to_none=True)


def optimizer_tensors(optim_wrapper: OptimWrapper) -> list[Tensor]:
    """Return the tensors of an optimizer's state, such as AdamW's two moments."""
    states = optim_wrapper.optimizer.state.values()
    return [value for state in states for value in state.values() if isinstance(value, Tensor)]


@contextmanager
def _as_on_a_gpu(scope: str) -> Iterator[None]:
    """Take the steps that a GPU takes on whatever device, and leave out a score that needs values."""
    with ExitStack() as stack:
        for module in (depthwise, channel_aggregation):
            stack.enter_context(mock.patch.object(module, 'takes_fast_path', lambda x: False))
        if scope != 'mmseg':
            yield
            return
        with mock.patch(_SEGMENTATION_SCORE, lambda *args, **kwargs: torch.zeros(1)):
            yield
