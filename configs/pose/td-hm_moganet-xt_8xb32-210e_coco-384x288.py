# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: AP 74.7, AP@0.5 90.1, AP@0.75 81.3, AR 79.9 on COCO 2017 keypoints (the authors' figures).
# Size: 5.65 M parameters, 4.15 G multiply-adds at 384x288. GPUs: 8, batch 32 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/pose_estimation/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/moganet_xt_coco_384x288.py
#   (mmpose 0.29).
# Released weights: moganet_xt_coco_384x288.pth (written by mmpose 0.x, gate activated once, no EMA).
# Corrected: 5.65 M parameters, which the authors' table cuts to 5.6.

_base_ = './td-hm_moganet-t_8xb32-210e_coco-384x288.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_xtiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.1, init_cfg=dict(checkpoint=checkpoint_file)),
    head=dict(in_channels=192))
