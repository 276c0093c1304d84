# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 51.7, mask AP 45.1 on COCO 2017 (the authors' figures).
# Size: 82.83 M parameters, 750.19 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/cascade_mask_rcnn_moganet_s_fpn_giou_4conv1f_ms_3x_coco.py
#   (mmdet 2.26).
# Released weights: cascade_mask_rcnn_moganet_s_fpn_giou_4conv1f_ms_3x_coco.pth (written by mmdet 2.x, gate activated
#   once, no EMA).

_base_ = [
    '../_base_/models/cascade-mask-rcnn_giou-4conv1fc_fpn.py',
    '../_base_/datasets/coco_instance_ms-crop.py',
    'mmdet::_base_/default_runtime.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/coco_3x_adamw.py',
]
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_small_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(
        _delete_=True,
        type='MogaNet',
        arch='small',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 128, 320, 512]))
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=1000)
