# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: AP 72.1, AP@0.5 89.7, AP@0.75 80.1, AR 77.7 on COCO 2017 keypoints (the authors' figures).
# Size: 5.65 M parameters, 1.84 G multiply-adds at 256x192. GPUs: 8, batch 32 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/pose_estimation/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/moganet_xt_coco_256x192.py
#   (mmpose 0.29).
# Released weights: moganet_xt_coco_256x192.pth (written by mmpose 0.x, gate activated once, no EMA).
# Corrected: 5.65 M parameters, which the authors' table cuts to 5.6.

_base_ = './td-hm_moganet-t_8xb32-210e_coco-256x192.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_xtiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.1, init_cfg=dict(checkpoint=checkpoint_file)),
    head=dict(in_channels=192))
