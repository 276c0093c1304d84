# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: AP 75.3, AP@0.5 90.9, AP@0.75 83.3, AR 80.7 on COCO 2017 keypoints (the authors' figures).
# Size: 47.41 M parameters, 10.85 G multiply-adds at 256x192. GPUs: 8, batch 32 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/pose_estimation/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/moganet_b_coco_256x192.py
#   (mmpose 0.29).
# Released weights: moganet_b_coco_256x192.pth (written by mmpose 0.x, gate activated once, no EMA).

_base_ = './td-hm_moganet-t_8xb32-210e_coco-256x192.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_base_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint_file)),
    head=dict(in_channels=512))
