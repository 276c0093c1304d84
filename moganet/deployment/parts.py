"""Which part of a model is exported: its network up to the head's raw outputs, its maps, or its backbone alone."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from ..models.backbones.moganet import MogaNet
from ..models.fused import FusedMogaNet
from .structure import flatten

PARTS = ('network', 'backbone')

@dataclass(frozen=True)
class _Known:
    """A kind of model whose head is called with its maps alone, and whose predict() works on what that gives.

    Classes are given by their full names, so that no toolbox is imported for it.
    """

    model: str
    head_name: str
    head: str
    # A class that has a predict() of its own may call something else than forward(). In mmpose each has.
    inherits_predict: bool = True


_KNOWN = (
    _Known('mmpretrain.models.classifiers.image.ImageClassifier', 'head', 'mmpretrain.models.heads.cls_head.ClsHead'),
    _Known(
        'mmseg.models.segmentors.encoder_decoder.EncoderDecoder', 'decode_head',
        'mmseg.models.decode_heads.decode_head.BaseDecodeHead',
    ),
    _Known(
        'mmdet.models.detectors.single_stage.SingleStageDetector', 'bbox_head',
        'mmdet.models.dense_heads.base_dense_head.BaseDenseHead',
    ),
    _Known(
        'mmpose.models.pose_estimators.base.BasePoseEstimator', 'head', 'mmpose.models.heads.base_head.BaseHead',
        inherits_predict=False,
    ),
)  # fmt: skip


class Network(nn.Module):
    """From the normalised picture to what comes out of the chosen part of a model.

    Args:
        model: see :func:`network_of`.
        neck, head: the names of its further parts; empty where there is none.

    Attributes:
        kind: ``network`` with the head, ``maps`` with what comes before it, ``backbone`` alone, or ``model`` for a
            model that is no toolbox's.
        base_name: what its outputs are called.
    """

    def __init__(self, model: nn.Module, backbone: str, neck: str = '', head: str = '', kind: str = 'network') -> None:
        super().__init__()
        self.backbone: Any = getattr(model, backbone) if backbone else model
        self.neck: Any = getattr(model, neck) if neck else None
        self.head: Any = getattr(model, head) if head else None
        self.head_name, self.kind = head, kind
        self.base_name = 'output' if kind in ('network', 'model') else 'map'
        self.eval()

    def whole(self, x: Tensor) -> Any:
        """Return what the last part returns, in its tuples and lists."""
        x = self.backbone(x)
        for part in (self.neck, self.head):
            x = x if part is None else part(x)
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of :meth:`whole` in one tuple."""
        return flatten(self.whole(x))


def network_of(model: nn.Module, part: str = 'network') -> tuple[Network, str]:
    """Return the part of a model that is exported; nothing is copied.

    Args:
        model: of a toolbox, or a :class:`MogaNet` or a classifier by itself; plain or fused.
        part: ``network``: backbone, neck and head, up to the head's raw outputs. Where the head takes more than the
            maps, as those of two-stage detectors and of transformers do: backbone and neck. ``backbone``: its maps.

    Returns:
        The network, and a note for the user where it ends before the head, else nothing.

    Raises:
        ValueError: an unknown part; no MogaNet is in the model, or not where the toolboxes have it.
    """
    if part not in PARTS:
        raise ValueError(f'part {part!r} is unknown; it must be one of {", ".join(PARTS)}')
    kind = type(model).__name__
    if not any(isinstance(module, (MogaNet, FusedMogaNet)) for module in model.modules()):
        raise ValueError(f'{kind} has no MogaNet in it; that is what can be exported')
    if isinstance(model, (MogaNet, FusedMogaNet)):
        return Network(model, '', kind='backbone'), ''
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, nn.Module) or (part == 'network' and not isinstance(model, BaseModel)):
        if part == 'backbone':
            raise ValueError(f'{kind} has no part that is called backbone, which is what --part backbone exports')
        return Network(model, '', kind='model'), ''
    if not isinstance(backbone, (MogaNet, FusedMogaNet)):
        raise ValueError(f'the backbone of {kind} is {type(backbone).__name__}; a MogaNet can be exported')
    if part == 'backbone':
        return Network(model, 'backbone', kind='backbone'), ''
    neck = 'neck' if isinstance(getattr(model, 'neck', None), nn.Module) else ''
    head = _simple_head(model)
    if head:
        return Network(model, 'backbone', neck, head), ''
    last = 'its neck' if neck else 'its backbone'
    note = f'the heads of {kind} take more than maps: what is exported ends with {last}'
    return Network(model, 'backbone', neck, kind='maps'), note


def _simple_head(model: nn.Module) -> str:
    """Return the name of the head, where its ``predict()`` calls ``forward(maps)`` and works on what that gives."""
    for known in _KNOWN:
        model_class = _base(model, known.model)
        head = getattr(model, known.head_name, None)
        head_class = _base(head, known.head)
        if model_class is None:
            continue
        if head_class is None or not _takes_maps_alone(head):
            return ''
        pairs: tuple[tuple[Any, Any], ...] = ((model, model_class), (head, head_class))
        kept = all(type(each).predict is cls.predict for each, cls in pairs)
        return known.head_name if kept or not known.inherits_predict else ''
    return ''


def _base(thing: Any, name: str) -> Any:
    """Return the class of that full name that something is an instance of, or None."""
    return next((cls for cls in type(thing).__mro__ if f'{cls.__module__}.{cls.__qualname__}' == name), None)


def _takes_maps_alone(head: Any) -> bool:
    parameters = list(inspect.signature(head.forward).parameters.values())
    return sum(parameter.default is inspect.Parameter.empty for parameter in parameters) == 1
