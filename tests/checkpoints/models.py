"""Models as the toolboxes have them, as far as names go, and files of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from moganet import MogaNet

NARROW = dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))


class Head(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(8, classes)


class Classifier(nn.Module):
    """A toolbox's classifier, as far as names go."""

    def __init__(self, classes: int = 5, **changes: Any) -> None:
        super().__init__()
        self.backbone = MogaNet(**{'arch': NARROW, **changes})
        self.head = Head(classes)


class Detector(nn.Module):
    """A toolbox's detector, as far as names go."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MogaNet(NARROW)
        self.neck = nn.Conv2d(8, 8, 1)
        self.bbox_head = nn.Conv2d(8, 4, 1)


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's weights as they are now."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def timm_data(model: Classifier, **more: Any) -> dict[str, Any]:
    """The file that timm's training writes of a classifier, its average a half of the weights."""
    raw = OrderedDict()
    for name, value in model.state_dict().items():
        raw['module.' + name.replace('backbone.', '').replace('head.fc.', 'head.')] = value.clone()
    average = OrderedDict((name, value / 2 if value.is_floating_point() else value) for name, value in raw.items())
    return {'arch': 'moganet', 'epoch': 3, 'state_dict': raw, 'state_dict_ema': average, **more}
