# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 50.6, mask AP 44.6 on COCO 2017 (the authors' figures).
# Size: 102.05 M parameters, 495.27 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/mask_rcnn_moganet_l_fpn_mstrain_480-800_3x_coco.py
#   (mmdet 2.26).
# Released weights: mask_rcnn_moganet_l_fpn_mstrain_480-800_3x_coco.pth (written by mmdet 2.x, gate activated once, no
#   EMA).
# Corrected: the authors' table shows the B's parameters and FLOPs; printed here are those of the L's 1x row.

_base_ = './mask-rcnn_moganet-t_fpn_ms-crop-3x_coco.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_large_sz224_8xbs64_ep300.pth.tar')

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 160, 320, 640]))
