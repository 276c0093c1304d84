"""Parts that do not fit their MogaNet are refused when a run is prepared, and parts that do are let through."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from moganet.engine import config_check
from moganet.engine.fit_check import check_fit_of_parts

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))
FPN = dict(type='FPN', in_channels=[8, 16, 24, 32], out_channels=16, num_outs=5)
RETINA_HEAD = dict(
    type='RetinaHead', num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1,
    anchor_generator=dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.0],
                          strides=[8, 16, 32, 64, 128]),
    bbox_coder=dict(type='DeltaXYWHBBoxCoder'))
SEG_HEAD = dict(type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, num_classes=3)
CLS_HEAD = dict(type='LinearClsHead', num_classes=3, in_channels=32)
HEATMAP_HEAD = dict(
    type='HeatmapHead', in_channels=32, out_channels=3, deconv_out_channels=(8,), deconv_kernel_sizes=(4,),
    loss=dict(type='KeypointMSELoss'))


def check(scope: str, kind: str, **parts: Any) -> None:
    """Build a model of this kind around a small MogaNet, and check it."""
    config_check.import_toolbox(scope)
    init_default_scope(scope)
    backbone = dict(type='MogaNet', arch=ARCH, **parts.pop('backbone', {}))
    cfg = Config(dict(model=dict(type=kind, backbone=backbone, **parts), default_scope=scope))
    check_fit_of_parts(cfg, MODELS.build(cfg.model))


FITTING: list[tuple[str, str, dict[str, Any]]] = [
    ('mmdet', 'RetinaNet', dict(neck=FPN, bbox_head=RETINA_HEAD)),
    ('mmseg', 'EncoderDecoder', dict(decode_head=SEG_HEAD, test_cfg=dict(mode='whole'))),
    ('mmpretrain', 'ImageClassifier', dict(neck=dict(type='GlobalAveragePooling'), head=CLS_HEAD)),
    ('mmpose', 'TopdownPoseEstimator', dict(head=HEATMAP_HEAD)),
]


@pytest.mark.parametrize(('scope', 'kind', 'parts'), FITTING)
def test_what_fits_is_let_through(scope: str, kind: str, parts: dict[str, Any]) -> None:
    check(scope, kind, **parts)


@pytest.mark.parametrize(
    ('row', 'changes', 'told'),
    [
        (0, dict(neck={**FPN, 'in_channels': [256, 512, 1024, 2048]}),
         r'model.neck \(FPN\) does not fit MogaNet \(8, 16, 24, 32 channels, by out_indices=\(0, 1, 2, 3\)\): its '
         r'layer lateral_convs.0.conv takes 256 channels and is given 8; model.neck.in_channels '
         r'is \[256, 512, 1024, 2048\]'),
        (0, dict(backbone=dict(out_indices=(1, 2, 3))), r'model.neck .*does not fit MogaNet \(16, 24, 32 channels'),
        (0, dict(bbox_head={**RETINA_HEAD, 'in_channels': 8}),
         r'model.bbox_head \(RetinaHead\) does not fit model.neck \(16, 16, 16, 16, 16 channels\)'),
        (1, dict(decode_head={**SEG_HEAD, 'in_channels': 24}), 'model.decode_head.in_channels is 24, .*in_index is 3'),
        (1, dict(decode_head={**SEG_HEAD, 'in_index': 2}), 'takes 32 channels and is given 24'),
        (1, dict(backbone=dict(out_indices=(3,))), 'model.decode_head .*index.*out of range.*in_index is 3'),
        (1, dict(auxiliary_head=[SEG_HEAD, {**SEG_HEAD, 'in_channels': 8}]), r'model.auxiliary_head\[1\] \(FCNHead\)'),
        (2, dict(head={**CLS_HEAD, 'in_channels': 2048}), 'model.head .*fc takes 2048 channels and is given 32'),
        # torch lets a wrong width pass through a transposed convolution of shapes alone.
        (3, dict(head={**HEATMAP_HEAD, 'in_channels': 2048}), 'model.head .*deconv_layers.0 takes 2048 channels'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(row: int, changes: dict[str, Any], told: str) -> None:
    scope, kind, parts = FITTING[row]
    with pytest.raises(ValueError, match=told):
        check(scope, kind, **{**parts, **changes})


def test_the_model_itself_is_left_as_it_was() -> None:
    config_check.import_toolbox('mmdet')
    init_default_scope('mmdet')
    backbone = dict(type='MogaNet', arch=ARCH)
    model: nn.Module = MODELS.build(dict(type='RetinaNet', backbone=backbone, neck=FPN, bbox_head=RETINA_HEAD))
    check_fit_of_parts(Config(dict(default_scope='mmdet')), model)
    assert model.training and all(parameter.device.type == 'cpu' for parameter in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_parts_that_cannot_be_run_on_shapes_are_left_alone() -> None:
    """The decoder of a transformer wants more than maps."""
    loss = dict(type='CrossEntropyLoss', bg_cls_weight=0.1, use_sigmoid=False, loss_weight=1.0, class_weight=1.0)
    head = dict(type='DETRHead', num_classes=3, embed_dims=16, loss_cls=loss)
    encoder = dict(num_layers=1, layer_cfg=dict(self_attn_cfg=dict(embed_dims=16, num_heads=2), ffn_cfg=dict(
        embed_dims=16, feedforward_channels=16)))
    decoder = dict(num_layers=1, layer_cfg=dict(
        self_attn_cfg=dict(embed_dims=16, num_heads=2), cross_attn_cfg=dict(embed_dims=16, num_heads=2),
        ffn_cfg=dict(embed_dims=16, feedforward_channels=16)), return_intermediate=True)
    neck = dict(type='ChannelMapper', in_channels=[32], kernel_size=1, out_channels=16, num_outs=1)
    encoding = dict(num_feats=8, normalize=True)
    parts: dict[str, Any] = dict(bbox_head=head, encoder=encoder, decoder=decoder, positional_encoding=encoding)
    check('mmdet', 'DETR', backbone=dict(out_indices=(3,)), neck=neck, **parts)
    with pytest.raises(ValueError, match='model.neck .*takes 2048 channels and is given 32'):
        check('mmdet', 'DETR', backbone=dict(out_indices=(3,)), neck={**neck, 'in_channels': [2048]}, **parts)
