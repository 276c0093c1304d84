"""Small models whose norms have seen something, and pictures for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from moganet import MogaNet

SMALL: dict[str, Any] = {'embed_dims': [8, 8, 16, 16], 'depths': [1, 1, 1, 1], 'ffn_ratios': [2, 2, 2, 2]}


def random_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a model's norms and scales numbers that a wrong fusion would not get by; return it in evaluation."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
        for name in ('layer_scale_1', 'layer_scale_2', 'scale'):
            values = getattr(module, name, None)
            if isinstance(values, nn.Parameter):
                nn.init.uniform_(values, 0.1, 0.5, generator=generator)
    return model.eval()


def backbone(**options: Any) -> MogaNet:
    """Return a small MogaNet in evaluation."""
    torch.manual_seed(0)
    made = random_statistics(MogaNet(SMALL, **options))
    assert isinstance(made, MogaNet)
    return made


def pictures(number: int = 2, height: int = 64, width: int = 96) -> list[Tensor]:
    """Return normalised pictures, each ``(1, 3, height, width)``."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 3, height, width, generator=generator) for _ in range(number)]
