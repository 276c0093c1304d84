"""What the shapes and dtypes of weights tell: the variant, the number of classes, the precision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor

# Checkpoints are read without the models, so what files are told apart by is here once more: widths, depths and FFN
# ratios of the stages. A test holds it to the models' own table.
SIGNATURES: Mapping[tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]], str] = MappingProxyType(
    {
        ((32, 64, 96, 192), (3, 3, 10, 2), (8, 8, 4, 4)): 'xtiny',
        ((32, 64, 128, 256), (3, 3, 12, 2), (8, 8, 4, 4)): 'tiny',
        ((64, 128, 320, 512), (2, 3, 12, 2), (8, 8, 4, 4)): 'small',
        ((64, 160, 320, 512), (4, 6, 22, 3), (8, 8, 4, 4)): 'base',
        ((64, 160, 320, 640), (4, 6, 44, 4), (8, 8, 4, 4)): 'large',
        ((96, 192, 480, 960), (6, 6, 44, 4), (8, 8, 4, 4)): 'xlarge',
    }
)
# Where the classes are counted, by the last weights of each kind of head.
_SOFTMAX_WITH_BACKGROUND = re.compile(r'roi_head\.bbox_head\.(?:0\.)?fc_cls\.weight')


def variant_of(weights: Mapping[str, Tensor]) -> str | None:
    """Return which of the six variants weights under ``backbone.`` are, or None for an arch of somebody's own."""
    widths, depths, ratios = [], [], []
    for stage in range(1, 5):
        norm = weights.get(f'backbone.norm{stage}.weight')
        fc1 = weights.get(f'backbone.blocks{stage}.0.mlp.fc1.weight')
        if norm is None or fc1 is None or not norm.ndim or not fc1.ndim or not norm.shape[0]:
            return None
        numbers = {int(name.split('.')[2]) for name in weights if re.match(rf'backbone\.blocks{stage}\.\d+\.', name)}
        widths.append(norm.shape[0])
        depths.append(len(numbers))
        ratios.append(fc1.shape[0] / norm.shape[0])
    return SIGNATURES.get((tuple(widths), tuple(depths), tuple(ratios)))


def num_classes_of(weights: Mapping[str, Tensor], task: str | None) -> int | None:
    """Return how many classes the head tells apart; None for pose, video and heads that are not known."""
    if task == 'classification':
        return _rows(weights.get('head.fc.weight'))
    if task == 'segmentation':
        return _rows(weights.get('decode_head.conv_seg.weight'))
    if task == 'detection':
        for name, value in weights.items():
            if _SOFTMAX_WITH_BACKGROUND.fullmatch(name) and value.ndim:
                return value.shape[0] - 1
        scores, boxes = (_rows(weights.get(f'bbox_head.retina_{kind}.weight')) for kind in ('cls', 'reg'))
        if scores and boxes and boxes >= 4:
            # Four numbers for each anchor in the one, a score for each anchor and class in the other.
            return scores // (boxes // 4)
    return None


def _rows(weight: Tensor | None) -> int | None:
    return weight.shape[0] if weight is not None and weight.ndim else None


def precision_of(weights: Mapping[str, Tensor]) -> str:
    """Return the dtype of the floating-point weights, such as ``'float32'``, or ``'mixed'``."""
    kinds = {str(value.dtype).removeprefix('torch.') for value in weights.values() if value.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 else 'mixed' if kinds else 'none'
