# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 49.0, mask AP 43.8 on COCO 2017 (the authors' figures).
# Size: 63.38 M parameters, 373.07 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/mask_rcnn_moganet_base_fpn_1x_coco.py
#   (mmdet 2.26).
# Released weights: mask_rcnn_moganet_base_fpn_1x_coco.pth (written by mmdet 2.x, gate activated once, no EMA).

_base_ = './mask-rcnn_moganet-t_fpn_1x_coco.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_base_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.2, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 160, 320, 512]))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
