# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 39.7 on COCO 2017 (the authors' figures).
# Size: 12.12 M parameters, 167.18 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/retinanet_moganet_xtiny_fpn_1x_coco.py
#   (mmdet 2.26).
# Released weights: retinanet_moganet_xtiny_fpn_1x_coco.pth (written by mmdet 2.x, gate activated once, no EMA).

_base_ = './retinanet_moganet-t_fpn_1x_coco.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_xtiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.05, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[32, 64, 96, 192]))
