"""Norm and activation layers from the ``norm_cfg`` and ``act_cfg`` dicts that OpenMMLab's users write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

_NORMS: dict[str, type[nn.Module]] = {
    'BN': nn.BatchNorm2d,
    'BN2d': nn.BatchNorm2d,
    'SyncBN': nn.SyncBatchNorm,
    'GN': nn.GroupNorm,
}
_ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    'GELU': nn.GELU,
    'SiLU': nn.SiLU,
    'Swish': nn.SiLU,
    'ReLU': nn.ReLU,
    'HSwish': nn.Hardswish,
}


def build_norm(cfg: Mapping[str, Any], channels: int) -> nn.Module:
    """Build the norm of ``channels`` channels that ``cfg`` describes.

    Args:
        cfg: ``type`` is one of BN, BN2d, SyncBN, GN (with ``num_groups``); ``requires_grad=False`` freezes the
            affine weights; everything else goes to the torch module (``eps`` is 1e-5 if not given).
        channels: number of channels of the NCHW map.

    Raises:
        ValueError: unknown ``type``, GN without ``num_groups`` or with one that does not divide ``channels``.
    """
    options = dict(cfg)
    kind = options.pop('type', None)
    if kind not in _NORMS:
        raise ValueError(f"norm_cfg['type'] is {kind!r}; MogaNet takes one of {', '.join(_NORMS)}")
    requires_grad = options.pop('requires_grad', True)
    options.setdefault('eps', 1e-5)
    if kind == 'GN':
        groups = options.pop('num_groups', None)
        if not groups or channels % groups:
            raise ValueError(
                f'norm_cfg GN needs a num_groups that divides every width of the network; '
                f'{groups!r} does not divide {channels} channels'
            )
        norm: nn.Module = nn.GroupNorm(groups, channels, **options)
    else:
        norm = _NORMS[kind](channels, **options)
    for parameter in norm.parameters():
        parameter.requires_grad = requires_grad
    return norm


def build_activation(cfg: Mapping[str, Any]) -> nn.Module:
    """Build the activation that ``cfg`` describes, such as ``dict(type='GELU')``.

    Raises:
        ValueError: unknown ``type``.
    """
    options = dict(cfg)
    kind = options.pop('type', None)
    if kind not in _ACTIVATIONS:
        raise ValueError(f"act_cfg['type'] is {kind!r}; MogaNet takes one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[kind](**options)
