# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: AP 73.2, AP@0.5 90.1, AP@0.75 81.0, AR 78.8 on COCO 2017 keypoints (the authors' figures).
# Size: 8.09 M parameters, 2.15 G multiply-adds at 256x192. GPUs: 8, batch 32 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/pose_estimation/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/moganet_t_coco_256x192.py
#   (mmpose 0.29).
# Released weights: moganet_t_coco_256x192.pth (written by mmpose 0.x, gate activated once, no EMA).

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py',
    '../_base_/default_runtime.py',
]
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_tiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(
        _delete_=True,
        type='MogaNet',
        arch='tiny',
        drop_path_rate=0.15,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint_file)),
    head=dict(in_channels=256))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=256)
