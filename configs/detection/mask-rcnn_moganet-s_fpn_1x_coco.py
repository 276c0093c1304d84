# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 46.6, mask AP 42.2 on COCO 2017 (the authors' figures).
# Size: 44.99 M parameters, 271.62 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/mask_rcnn_moganet_small_fpn_1x_coco.py
#   (mmdet 2.26).
# Released weights: mask_rcnn_moganet_small_fpn_1x_coco.pth (written by mmdet 2.x, gate activated once, no EMA).

_base_ = './mask-rcnn_moganet-t_fpn_1x_coco.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_small_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='small', drop_path_rate=0.1, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 128, 320, 512]))
