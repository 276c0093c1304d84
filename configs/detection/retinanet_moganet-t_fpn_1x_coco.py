# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 41.4 on COCO 2017 (the authors' figures).
# Size: 14.47 M parameters, 173.46 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/retinanet_moganet_tiny_fpn_1x_coco.py
#   (mmdet 2.26).
# Released weights: retinanet_moganet_tiny_fpn_1x_coco.pth (written by mmdet 2.x, gate activated once, no EMA).
# Corrected: 14.47 M parameters and 173.46 G multiply-adds, which the authors' table cuts to 14.4 and 173.4.

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
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
