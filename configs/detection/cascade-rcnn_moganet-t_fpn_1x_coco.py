# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 49.97 M parameters, 166.26 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not counted.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/mask_rcnn_moganet_tiny_fpn_1x_coco.py
#   (mmdet 2.26, of Mask R-CNN).
# Note: ours: the authors' Cascade R-CNN rows have masks; this one has boxes alone, and the settings of Mask R-CNN.

_base_ = [
    'mmdet::_base_/models/cascade-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/default_runtime.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/coco_1x_adamw.py',
]
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_tiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(
        _delete_=True,
        type='MogaNet',
        arch='tiny',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint_file)),
    neck=dict(in_channels=[32, 64, 128, 256]))
optim_wrapper = dict(optimizer=dict(lr=2e-4))
