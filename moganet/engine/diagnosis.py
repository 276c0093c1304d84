"""Where numbers that are not finite come from, and which pictures they were made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..randomness import preserved, restore
from .parts import part_of

# torch's and mmcv's batch norms over all processes.
_SYNCHRONISED = ('SyncBatchNorm', 'NaiveSyncBatchNorm')


@dataclass(frozen=True)
class Diagnosis:
    """What was found by computing a batch once more.

    Attributes:
        weights: parameters and buffers that are not finite.
        inputs: whether what the model is given is not finite.
        module: the first module whose output is not finite though its inputs are; empty where there is none.
        terms: the terms of the loss that are not finite.
        files: the pictures of the batch.
        losses: the terms of the loss, each summed up where it is a list.
        failure: why the batch could not be computed to its end; empty where it could.
    """

    weights: tuple[str, ...]
    inputs: bool
    module: str
    terms: tuple[str, ...]
    files: tuple[str, ...]
    losses: Mapping[str, float]
    failure: str = ''

    def __str__(self) -> str:
        found = []
        if self.weights:
            more = f' and {len(self.weights) - 3} more' if len(self.weights) > 3 else ''
            found.append(f'weights: {", ".join(self.weights[:3])}{more}')
        if self.inputs:
            found.append('the pictures, as the model is given them')
        if self.module:
            found.append(f'first module: {self.module}')
        if self.terms:
            found.append(f'terms of the loss: {", ".join(self.terms)}')
        if self.failure:
            found.append(f'and computed once more the batch ends in {self.failure}')
        where = '; '.join(found) or 'nowhere when the batch is computed once more, so in the gradients'
        return f'not finite: {where}. Pictures: {", ".join(self.files) or "their data samples name none"}'


def diagnose(model: Any, context: Any, batch: Any, random: Mapping[str, Any]) -> Diagnosis:
    """Compute the loss of a batch once more, and see where it stops being finite.

    The model is left as it was: its norms' statistics are put back. Synchronised norms take the statistics that they
    have: the other processes may not be here to give theirs. Of a sharded model they have to be here, each with its own
    batch; each looks at its own part of the weights.

    Args:
        model: MMEngine's, without a wrapper.
        context: within which the loss is computed, such as mixed precision's.
        batch: as the loader gave it.
        random: where the random numbers stood before the batch, see :func:`moganet.randomness.capture`.
    """
    state = [*model.named_parameters(), *model.named_buffers()]
    weights = tuple(name for name, value in state if not is_finite(value))
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    first: list[str] = []
    names = {module: name for name, module in model.named_modules()}

    def look(module: nn.Module, args: Any, output: Any) -> None:
        if not first and not is_finite(output) and is_finite(args):
            first.append(f'{names[module] or "the model"} ({type(module).__name__})')

    synchronised = [module for module in model.modules() if type(module).__name__ in _SYNCHRONISED and module.training]
    hooks = [module.register_forward_hook(look) for module in model.modules() if module is not model]
    inputs, failure = False, ''
    losses: dict[str, Any] = {}
    try:
        for module in synchronised:
            module.training = False
        with preserved(), torch.no_grad(), context:
            restore(dict(random))
            data = model.data_preprocessor(loose_copy(batch), True)
            inputs = not is_finite(data.get('inputs') if isinstance(data, dict) else data)
            losses = model._run_forward(data, mode='loss')
    except Exception as error:  # a head may raise what it likes when it is given no numbers
        failure = f'{type(error).__name__}: {error}'
    finally:
        for hook in hooks:
            hook.remove()
        for module in synchronised:
            module.training = True
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(buffers[name])
    terms = tuple(name for name, value in losses.items() if not is_finite(value))
    sums = {name: float(sum(tensor.sum() for tensor in _tensors(value))) for name, value in losses.items()}
    return Diagnosis(weights, inputs, first[0] if first else '', terms, files_of(batch), sums, failure)


def bare(model: nn.Module) -> Any:
    """Return a model without what wraps it for several processes."""
    return model.module if is_model_wrapper(model) else model


def loose_copy(value: Any) -> Any:
    """Copy containers and data elements, and share their tensors.

    What is computed from a batch puts other tensors into it (mixing does, for the labels), so that a batch that has
    been trained on is not the one that was loaded.
    """
    if isinstance(value, BaseDataElement):
        copy = object.__new__(type(value))
        vars(copy).update(loose_copy(vars(value)))
        return copy
    if isinstance(value, dict):
        return {key: loose_copy(inner) for key, inner in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(loose_copy(inner) for inner in value)
    return value


def is_finite(value: Any) -> bool:
    """Whether every floating-point tensor in a value, however nested, is finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex():
            yield part_of(value)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def files_of(batch: Any) -> tuple[str, ...]:
    """Return the paths of the pictures that a batch was made of, as far as its data samples name them."""
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    paths = [getattr(sample, 'img_path', None) or sample.get('img_path') for sample in samples or ()]
    return tuple(str(path) for path in paths if path)
