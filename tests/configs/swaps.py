"""MogaNet in stock configs of the toolboxes: the lines that docs/swap_backbone.md tells users to write."""

from __future__ import annotations

IMPORTS = "custom_imports = dict(imports=['moganet'], allow_failed_imports=False)\n"
_FPN = '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    neck=dict(in_channels=[32, 64, 128, 256]))
'''
# The three deeper maps, for necks that begin at stride 8.
_THREE = '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[64, 128, 256]))
'''
_ONE_HEAD = '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    head=dict(in_channels=256))
'''

# The stock config, as `toolbox/path below its configs`, to the lines below `_base_` and `custom_imports`.
SWAPS = {
    'mmdet/faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py': _FPN,
    'mmdet/fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py': _FPN,
    'mmdet/atss/atss_r50_fpn_1x_coco.py': _FPN,
    'mmdet/detr/detr_r50_8xb2-150e_coco.py': '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', out_indices=(3,)),
    neck=dict(in_channels=[256]))
''',
    'mmdet/dino/dino-4scale_r50_8xb2-12e_coco.py': _THREE,
    'mmdet/mask2former/mask2former_r50_8xb2-lsj-50e_coco.py': '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    panoptic_head=dict(in_channels=[32, 64, 128, 256]))
''',
    'mmdet/rtmdet/rtmdet_s_8xb32-300e_coco.py': _THREE,
    'mmdet/yolox/yolox_s_8xb8-300e_coco.py': _THREE,
    'mmseg/fcn/fcn_r50-d8_4xb4-80k_ade20k-512x512.py': '''
model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    decode_head=dict(in_channels=256),
    auxiliary_head=dict(in_channels=128))
''',
    'mmseg/pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py': '''
model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    decode_head=dict(in_channels=256),
    auxiliary_head=dict(in_channels=128))
''',
    'mmseg/deeplabv3plus/deeplabv3plus_r50-d8_4xb4-80k_ade20k-512x512.py': '''
model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    decode_head=dict(in_channels=256, c1_in_channels=32),
    auxiliary_head=dict(in_channels=128))
''',
    'mmseg/upernet/upernet_r50_4xb4-80k_ade20k-512x512.py': '''
model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    decode_head=dict(in_channels=[32, 64, 128, 256]),
    auxiliary_head=dict(in_channels=128))
''',
    'mmseg/segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py': '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    decode_head=dict(in_channels=[32, 64, 128, 256]))
''',
    'mmseg/mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py': '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    decode_head=dict(in_channels=[32, 64, 128, 256]))
''',
    'mmpose/body_2d_keypoint/simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py': _ONE_HEAD,
    'mmpose/body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py': _ONE_HEAD,
    'mmpose/body_2d_keypoint/topdown_regression/coco/td-reg_res50_8xb64-210e_coco-256x192.py': _ONE_HEAD,
    'mmpose/body_2d_keypoint/integral_regression/coco/ipr_res50_8xb64-210e_coco-256x256.py': _ONE_HEAD,
    'mmpose/body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py': _ONE_HEAD,
    # Its neck lays the four maps on top of each other: 32 + 64 + 128 + 256 channels.
    'mmpose/body_2d_keypoint/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512.py': '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    head=dict(in_channels=480))
''',
    'mmpretrain/resnet/resnet50_8xb32_in1k.py': _ONE_HEAD,
    # ConvNeXt pools inside the backbone, so that its config has no neck.
    'mmpretrain/convnext/convnext-tiny_32xb128_in1k.py': '''
model = dict(
    backbone=dict(_delete_=True, type='MogaNet', arch='tiny', drop_path_rate=0.1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=256))
''',
    'mmpretrain/efficientnet/efficientnet-b0_8xb32_in1k.py': _ONE_HEAD,
}
