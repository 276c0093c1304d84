"""Whether weights fill a model, found out without the model: on its skeleton, which holds no numbers."""

from __future__ import annotations

import copy
import re
import warnings
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..completeness import Fit, compare, partial, surplus_of
from .errors import MisfitError


def dry_run(model: nn.Module, given: OrderedDict[str, Tensor]) -> Fit:
    """Return how weights would fill a model, by loading them into its skeleton, which holds no numbers.

    Modules may rename or resize what they are given, so that a comparison of names would not do. It has to, for a model
    that cannot be copied.

    Raises:
        MisfitError: a module of the model cannot take them for another reason than their shape.
    """
    tensors = [*model.parameters(), *model.buffers()]
    bare: dict[int, Any] = {id(tensor): _without_numbers(tensor) for tensor in tensors}
    try:
        skeleton = copy.deepcopy(model, bare)
    except (TypeError, RuntimeError):  # it holds a lock, a group of processes, a result with its gradients
        fit = compare(model.state_dict(), given)
        return replace(fit, surplus=surplus_of(model, fit.unexpected))
    own = skeleton.state_dict()
    reshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    try:
        result = _taken(skeleton, given)
    except MisfitError as error:
        names = re.findall(r'size mismatch for (\S+):', str(error))
        if not names or not given.keys() >= set(names):  # a module may have given it another name
            raise
        reshaped = [(name, tuple(given[name].shape), tuple(own[name].shape)) for name in names]
        fitting = below('', given)
        fitting.update({name: own[name] for name in names})
        result = _taken(skeleton, fitting)
    # A norm makes up for a counter that is absent.
    counters = {name for name in own if name.endswith('num_batches_tracked')}
    absent = {*result.missing_keys, *(counters - given.keys())}
    found = compare(own, {name: value for name, value in own.items() if name not in absent})
    surplus = surplus_of(skeleton, result.unexpected_keys)
    return replace(found, unexpected=tuple(result.unexpected_keys), reshaped=tuple(reshaped), surplus=surplus)


def _taken(skeleton: nn.Module, given: OrderedDict[str, Tensor]) -> Any:
    """Load weights into what holds no numbers; return the names that were missing, and those that nobody took."""
    with partial(), warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*copying from a non-meta parameter')
        try:
            return skeleton.load_state_dict(given, strict=False)
        except Exception as error:  # modules raise anything for what they cannot take
            raise MisfitError(f'the model cannot take these weights: {" ".join(str(error).split())}') from error


def _without_numbers(tensor: Tensor) -> Tensor:
    bare = torch.empty_like(tensor, device='meta')
    return nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare


def below(prefix: str, weights: OrderedDict[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Return the weights below a prefix, without it, and what their state dict notes of the modules there.

    Modules go by it: without a version they take what they are given for that of an old release, and rename it.
    """
    part = OrderedDict((name[len(prefix) :], value) for name, value in weights.items() if name.startswith(prefix))
    noted = {f'{name}.': entry for name, entry in getattr(weights, '_metadata', {}).items()}
    part._metadata = OrderedDict(  # type: ignore[attr-defined]
        (name[len(prefix) :].removesuffix('.'), entry) for name, entry in noted.items() if name.startswith(prefix)
    )
    return part
