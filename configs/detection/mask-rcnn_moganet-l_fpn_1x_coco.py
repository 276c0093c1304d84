# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 49.4, mask AP 44.2 on COCO 2017 (the authors' figures).
# Size: 102.05 M parameters, 495.27 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/mask_rcnn_moganet_large_fpn_1x_coco.py
#   (mmdet 2.26).
# Released weights: mask_rcnn_moganet_large_fpn_1x_coco.pth (written by mmdet 2.x, gate activated once, no EMA).
# Corrected: the authors' table links the T's 3x config; the recipe is the one named here.

_base_ = './mask-rcnn_moganet-t_fpn_1x_coco.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_large_sz224_8xbs64_ep300.pth.tar')

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 160, 320, 640]))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
