"""Layer-wise decay of the learning rate, in every toolbox."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

_OPTION = 'layer_decay_rate'


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerWiseDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Give each depth of the backbone a learning rate of its own: ``rate ** (deepest - depth)`` times the common one.

    The toolboxes have constructors of this kind that know their own backbones alone. This one asks the backbone, by
    MMPretrain's ``get_layer_depth(name, prefix) -> (depth, number of depths)``; what is not the backbone's, such as
    neck and heads, has the full rate. Biases and whatever has one axis longer than 1 (norms, scales) are not decayed in
    weight, as in the recipes of the authors' Cascade Mask R-CNN.

    Args:
        optim_wrapper_cfg: as for MMEngine's own constructor; ``optimizer.lr`` is needed.
        paramwise_cfg: ``dict(layer_decay_rate=0.8)``, above 0 and at most 1.

    Raises:
        KeyError: ``paramwise_cfg`` lacks ``layer_decay_rate`` or holds anything else.
        ValueError: the rate is out of its range, the optimizer has no ``lr``, or no part of the model has
            ``get_layer_depth``.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        given = dict(paramwise_cfg or {})
        if set(given) != {_OPTION}:
            raise KeyError(f'paramwise_cfg has {sorted(given)}; {type(self).__name__} takes {_OPTION} and nothing else')
        self.rate = float(given[_OPTION])
        if not 0.0 < self.rate <= 1.0:
            raise ValueError(f'{_OPTION} is {self.rate}; it must be above 0 and at most 1')
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        if self.base_lr is None:
            raise ValueError(f'optimizer has no lr, which {_OPTION} multiplies')

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, **kwargs: Any) -> None:
        """Put each parameter of the model into the group of its depth and its weight decay.

        Args:
            params: the groups of the optimizer, filled here.
            module: the whole model.
            **kwargs: what MMEngine's own constructor passes from level to level; not needed here.
        """
        prefix, backbone = _find_backbone(module)
        groups: dict[tuple[int, bool], dict[str, Any]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            depth, depths = backbone.get_layer_depth(name, prefix)
            spared = parameter.squeeze().ndim <= 1 or name.endswith('.bias')
            scale = self.rate ** (depths - 1 - depth)
            group = groups.setdefault((depth, spared), {'params': [], 'lr': self.base_lr * scale})
            if self.base_wd is not None:
                group['weight_decay'] = 0.0 if spared else self.base_wd
            group['params'].append(parameter)
        params.extend(groups[key] for key in sorted(groups))
        rates = {depth: group['lr'] for (depth, _), group in sorted(groups.items())}
        told = ', '.join(f'{depth}: {rate:.3g}' for depth, rate in rates.items())
        print_log(f'learning rates by depth of the backbone: {told}', logger='current')


def _find_backbone(model: nn.Module) -> tuple[str, Any]:
    """The first part of a model that knows its depths, and what precedes its parameters' names."""
    for name, part in model.named_modules():
        if hasattr(part, 'get_layer_depth') and name:
            return f'{name}.', part
    raise ValueError('no part of this model has get_layer_depth, so its layers have no depth; MogaNet has it')
