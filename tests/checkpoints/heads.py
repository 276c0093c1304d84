"""Names and shapes of the toolboxes' necks and heads, which have not changed between their generations.

Sources: mmdet ``necks/fpn.py``, ``dense_heads/{retina_head,rpn_head}.py``, ``roi_heads/{bbox_heads/convfc_bbox_head,
mask_heads/fcn_mask_head}.py``; mmseg ``decode_heads/{uper_head,fcn_head,fpn_head}.py``; mmpose
``heads/heatmap_heads/heatmap_head.py``. The order is the models' own.
"""

from __future__ import annotations

from collections.abc import Sequence

Shapes = dict[str, tuple[int, ...]]


def conv(name: str, out: int, into: int, side: int) -> Shapes:
    return {f'{name}.weight': (out, into, side, side), f'{name}.bias': (out,)}


def linear(name: str, out: int, into: int) -> Shapes:
    return {f'{name}.weight': (out, into), f'{name}.bias': (out,)}


def norm(name: str, width: int) -> Shapes:
    learned = {f'{name}.{leaf}': (width,) for leaf in ('weight', 'bias', 'running_mean', 'running_var')}
    return {**learned, f'{name}.num_batches_tracked': ()}


def conv_norm(name: str, out: int, into: int, side: int) -> Shapes:
    return {f'{name}.conv.weight': (out, into, side, side), **norm(f'{name}.bn', out)}


def fpn(widths: Sequence[int], outs: int) -> Shapes:
    shapes: Shapes = {}
    for index, width in enumerate(widths):
        shapes |= conv(f'neck.lateral_convs.{index}.conv', 256, width, 1)
    for index in range(outs):
        # The first map beyond the backbone's is made of its last, the others of the one before.
        into = widths[-1] if index == len(widths) else 256
        shapes |= conv(f'neck.fpn_convs.{index}.conv', 256, into, 3)
    return shapes


def retinanet(widths: Sequence[int]) -> Shapes:
    shapes = fpn(widths[1:], 5)
    for branch in ('cls', 'reg'):
        for index in range(4):
            shapes |= conv(f'bbox_head.{branch}_convs.{index}.conv', 256, 256, 3)
    return shapes | conv('bbox_head.retina_cls', 9 * 80, 256, 3) | conv('bbox_head.retina_reg', 9 * 4, 256, 3)


def _rpn() -> Shapes:
    names = (('rpn_conv', 256, 3), ('rpn_cls', 3, 1), ('rpn_reg', 12, 1))
    return {key: shape for name, out, side in names for key, shape in conv(f'rpn_head.{name}', out, 256, side).items()}


def _box_head(name: str, boxes: int, convs: int) -> Shapes:
    shapes = linear(f'{name}.fc_cls', 81, 1024) | linear(f'{name}.fc_reg', boxes, 1024)
    for index in range(convs):
        shapes |= conv_norm(f'{name}.shared_convs.{index}', 256, 256, 3)
    shapes |= linear(f'{name}.shared_fcs.0', 1024, 256 * 49)
    return shapes if convs else shapes | linear(f'{name}.shared_fcs.1', 1024, 1024)


def _mask_head(name: str) -> Shapes:
    shapes: Shapes = {}
    for index in range(4):
        shapes |= conv(f'{name}.convs.{index}.conv', 256, 256, 3)
    return shapes | conv(f'{name}.upsample', 256, 256, 2) | conv(f'{name}.conv_logits', 80, 256, 1)


def mask_rcnn(widths: Sequence[int]) -> Shapes:
    heads = _box_head('roi_head.bbox_head', 320, 0) | _mask_head('roi_head.mask_head')
    return fpn(widths, 4) | _rpn() | heads


def cascade(widths: Sequence[int], convs: int = 0) -> Shapes:
    shapes = fpn(widths, 4) | _rpn()
    for stage in range(3):
        # With four convolutions the boxes are each class's own.
        shapes |= _box_head(f'roi_head.bbox_head.{stage}', 320 if convs else 4, convs)
    for stage in range(3):
        shapes |= _mask_head(f'roi_head.mask_head.{stage}')
    return shapes


def sem_fpn(widths: Sequence[int]) -> Shapes:
    shapes = fpn(widths, 4) | conv('decode_head.conv_seg', 150, 128, 1)
    for level in range(4):
        for step in range(max(1, level)):
            into = 128 if step else 256
            shapes |= conv_norm(f'decode_head.scale_heads.{level}.{2 * step}', 128, into, 3)
    return shapes


def upernet(widths: Sequence[int]) -> Shapes:
    shapes = conv('decode_head.conv_seg', 150, 512, 1)
    for index in range(4):
        shapes |= conv_norm(f'decode_head.psp_modules.{index}.1', 512, widths[3], 1)
    shapes |= conv_norm('decode_head.bottleneck', 512, widths[3] + 4 * 512, 3)
    for index in range(3):
        shapes |= conv_norm(f'decode_head.lateral_convs.{index}', 512, widths[index], 1)
    for index in range(3):
        shapes |= conv_norm(f'decode_head.fpn_convs.{index}', 512, 512, 3)
    shapes |= conv_norm('decode_head.fpn_bottleneck', 512, 4 * 512, 3)
    shapes |= conv('auxiliary_head.conv_seg', 150, 256, 1)
    return shapes | conv_norm('auxiliary_head.convs.0', 256, widths[2], 3)


def heatmaps(widths: Sequence[int]) -> Shapes:
    shapes: Shapes = {}
    for index, into in enumerate((widths[3], 256, 256)):
        shapes[f'head.deconv_layers.{3 * index}.weight'] = (into, 256, 4, 4)
        shapes |= norm(f'head.deconv_layers.{3 * index + 1}', 256)
    return shapes | conv('head.final_layer', 17, 256, 1)


def classifier(widths: Sequence[int]) -> Shapes:
    return linear('head.fc', 1000, widths[3])
