# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: AP 75.7, AP@0.5 90.6, AP@0.75 82.6, AR 80.9 on COCO 2017 keypoints (the authors' figures).
# Size: 8.09 M parameters, 4.85 G multiply-adds at 384x288. GPUs: 8, batch 32 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/pose_estimation/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/moganet_t_coco_384x288.py
#   (mmpose 0.29).
# Released weights: moganet_t_coco_384x288.pth (written by mmpose 0.x, gate activated once, no EMA).

_base_ = './td-hm_moganet-t_8xb32-210e_coco-256x192.py'

codec = dict(type='MSRAHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=2)
model = dict(head=dict(decoder=codec))

train_pipeline, val_pipeline = _base_.train_pipeline, _base_.val_pipeline
train_pipeline[5].update(input_size=codec['input_size'])
train_pipeline[6].update(encoder=codec)
val_pipeline[2].update(input_size=codec['input_size'])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
