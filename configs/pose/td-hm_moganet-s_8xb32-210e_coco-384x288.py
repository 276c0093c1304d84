# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: AP 76.4, AP@0.5 91.0, AP@0.75 83.3, AR 81.4 on COCO 2017 keypoints (the authors' figures).
# Size: 29.02 M parameters, 13.48 G multiply-adds at 384x288. GPUs: 8, batch 32 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/pose_estimation/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/moganet_s_coco_384x288.py
#   (mmpose 0.29, in fp16: --amp fp16).
# Released weights: moganet_s_coco_384x288.pth (written by mmpose 0.x, gate activated once, no EMA).

_base_ = './td-hm_moganet-t_8xb32-210e_coco-384x288.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_small_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='small', drop_path_rate=0.2, init_cfg=dict(checkpoint=checkpoint_file)),
    head=dict(in_channels=512))
