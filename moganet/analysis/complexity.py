"""Parameters and multiply-adds of the model that a config describes.

Published tables differ by what they count. The figures of MogaNet's authors come from the counter of mmcv 1.x, which
is written down here from its rules (:func:`_authors_rule`); MMEngine's, which today's toolboxes use, counts other
things and reads a few percent lower or higher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

COUNTERS = ('authors', 'mmengine')
# Fixed in the tables of two-stage detectors, so that the count does not depend on what an image holds.
PROPOSALS = 1000
MASK_REGIONS = 100
Shape = tuple[int, int]


@dataclass(frozen=True)
class Complexity:
    """The size of a model.

    Attributes:
        parameters: number of parameters, trained or not.
        macs: multiply-adds for one image, as the counter sees them.
        shape: height and width of that image, pixels.
        counter: ``authors`` or ``mmengine``.
    """

    parameters: int
    macs: int
    shape: Shape
    counter: str


def default_shape(cfg: Any) -> Shape:
    """Height and width at which tables count the model of a config.

    Detection: 1280 x 800; segmentation: 2048 x 512; classification and pose: the size that the model is tested at.

    Raises:
        ValueError: the config's test pipeline does not tell a size.
    """
    scope = cfg.get('default_scope')
    if scope == 'mmdet':
        return 1280, 800
    if scope == 'mmseg':
        return 2048, 512
    for step in reversed(_test_pipeline(cfg)):
        size = step.get('crop_size') or step.get('input_size') or step.get('scale')
        if isinstance(size, int):
            return size, size
        if isinstance(size, (list, tuple)) and len(size) == 2:
            return int(size[1]), int(size[0])  # mmpose and mmcv write width first
    raise ValueError('the test pipeline of this config tells no size of a picture; give one: --shape HEIGHT WIDTH')


def _test_pipeline(cfg: Any) -> list[dict[str, Any]]:
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return list(dataset.get('pipeline') or [])


def count(cfg: Any, shape: Shape | None = None, counter: str = 'authors') -> Complexity:
    """Count the model of a config; nothing is downloaded.

    For the authors' counter shapes alone go through the model, so that it takes seconds and no memory. MMEngine's
    traces the model, which has to compute. Two-stage detectors are counted with 1,000 proposals, and 100 regions for
    their masks.

    Args:
        cfg: the config; its toolbox has been imported, and its scope entered.
        shape: height and width of the image; :func:`default_shape` when None.
        counter: ``authors`` (mmcv 1.x) or ``mmengine``.

    Raises:
        ValueError: an unknown counter, a shape that the model cannot take, or no size in the config.
    """
    if counter not in COUNTERS:
        raise ValueError(f'counter is {counter!r}; it must be one of {", ".join(COUNTERS)}')
    shape = shape or default_shape(cfg)
    device = 'meta' if counter == 'authors' else 'cpu'
    model = build_model(cfg, device)
    for module in model.modules():
        if hasattr(module, 'gate_fp32'):
            module.gate_fp32 = False  # type: ignore[assignment]  # the same sums, by way of the layer that is counted
    whole = _Whole(model).eval()
    image = torch.zeros(1, image_channels(cfg), *shape, device=device)
    try:
        with torch.no_grad():
            macs = _count_as_authors(whole, image) if counter == 'authors' else _count_as_mmengine(whole, image)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(f'a picture of {shape[0]} x {shape[1]} cannot go through this model: {error}') from error
    return Complexity(sum(parameter.numel() for parameter in whole.parameters()), macs, shape, counter)


def image_channels(cfg: Any) -> int:
    """Channels of the pictures that a config's model takes."""
    return int(cfg.model.get('backbone', {}).get('in_channels') or 3)


def described_model(cfg: Any) -> Any:
    """Return a copy of a config's model with the preprocessor that a Runner would give it."""
    described = deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        described.setdefault('data_preprocessor', deepcopy(cfg.data_preprocessor))
    return described


def build_model(cfg: Any, device: str) -> nn.Module:
    """Build a config's model with random weights; on the device ``meta`` it takes no memory."""
    described = described_model(cfg)
    try:
        with torch.device(device):
            model: nn.Module = MODELS.build(described)
    except (RuntimeError, NotImplementedError):
        model = MODELS.build(described).to(device)  # some models read numbers from tensors while they are built
    return model


class _Whole(nn.Module):
    """What is run of a model for one picture, from the picture to the raw outputs of its heads."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Any:
        if getattr(self.model, 'with_roi_head', False) or hasattr(self.model, 'roi_head'):
            return self._two_stages(image)
        return self.model(image, None, mode='tensor')

    def _two_stages(self, image: Tensor) -> list[Any]:
        """Run the heads on as many regions as the tables fix; pooling them is not counted, and so left out."""
        model: Any = self.model
        maps = model.extract_feat(image)
        outs = [model.rpn_head(maps)] if getattr(model, 'with_rpn', False) else []
        roi = model.roi_head
        for kind, number in (('bbox', PROPOSALS), ('mask', MASK_REGIONS)):
            head, extractor = getattr(roi, f'{kind}_head', None), getattr(roi, f'{kind}_roi_extractor', None)
            if head is None:
                continue
            heads: list[Any] = list(head) if isinstance(head, nn.ModuleList) else [head]
            extractor = extractor or roi.bbox_roi_extractor
            listed = isinstance(extractor, nn.ModuleList)
            extractors: list[Any] = list(extractor) if listed else [extractor] * len(heads)
            for one, pooled in zip(heads, extractors):
                side = pooled.roi_layers[0].output_size
                regions = image.new_zeros(number, pooled.out_channels, *side)
                outs.append(one(regions))
        return outs


def _count_as_authors(whole: nn.Module, image: Tensor) -> int:
    total = 0

    def add(macs: int) -> None:
        nonlocal total
        total += macs

    with _hooked(whole, add):
        whole(image)
    return total


@contextmanager
def _hooked(whole: nn.Module, add: Callable[[int], None]) -> Iterator[None]:
    handles = []
    for module in whole.modules():
        rule = _authors_rule(module)
        if rule is not None:

            def note(module: Any, inputs: Any, output: Any, rule: Callable[..., int] = rule) -> None:
                add(rule(module, inputs[0], output))

            handles.append(module.register_forward_hook(note))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _authors_rule(module: nn.Module) -> Callable[..., int] | None:
    """How mmcv 1.x counts a layer; None for those that it does not know, such as GELU and SyncBN."""
    exact = _RULES.get(type(module))
    # mmcv's own subclasses of these, and those here, differ in their steps alone.
    return exact or next((rule for kind, rule in _RULES_OF_SUBCLASSES if isinstance(module, kind)), None)


def _convolution(module: Any, x: Tensor, out: Tensor) -> int:
    """A multiply-add for each weight at each position, and one for each output's bias."""
    each = prod(module.kernel_size) * module.in_channels // module.groups
    return out.numel() * (each + (module.bias is not None))


def _transposed(module: Any, x: Tensor, out: Tensor) -> int:
    each = prod(module.kernel_size) * module.out_channels // module.groups
    return x.numel() * each + (out.numel() if module.bias is not None else 0)


def _linear(module: Any, x: Tensor, out: Tensor) -> int:
    return x.numel() * int(out.shape[-1])  # its bias is not counted


def _norm(module: Any, x: Tensor, out: Tensor) -> int:
    affine = getattr(module, 'affine', getattr(module, 'elementwise_affine', False))
    return x.numel() * (2 if affine else 1)


def _each_output(module: Any, x: Tensor, out: Tensor) -> int:
    return out.numel()


def _each_input(module: Any, x: Tensor, out: Tensor) -> int:
    return x.numel()


_RULES: dict[type[nn.Module], Callable[..., int]] = {
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm), _norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _norm),
    **dict.fromkeys((nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.Upsample), _each_output),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _each_input),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _each_input),
    **dict.fromkeys((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), _each_input),
}
_RULES_OF_SUBCLASSES: tuple[tuple[Any, Callable[..., int]], ...] = (
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    (nn.ConvTranspose2d, _transposed),
    (nn.Linear, _linear),
)


def _count_as_mmengine(whole: nn.Module, image: Tensor) -> int:
    from mmengine.analysis import FlopAnalyzer

    analyzer = FlopAnalyzer(whole, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(analyzer.tracer_warnings('none').total())
