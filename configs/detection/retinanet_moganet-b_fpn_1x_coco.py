# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 47.7 on COCO 2017 (the authors' figures).
# Size: 53.47 M parameters, 354.48 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/retinanet_moganet_base_fpn_1x_coco.py
#   (mmdet 2.26).
# Released weights: retinanet_moganet_base_fpn_1x_coco.pth (written by mmdet 2.x, gate activated once, no EMA).

_base_ = './retinanet_moganet-t_fpn_1x_coco.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_base_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.2, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 160, 320, 512]))
