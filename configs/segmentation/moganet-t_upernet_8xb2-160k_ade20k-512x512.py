# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 43.7, mAcc 57.1 on ADE20K (the authors' figures).
# Size: 33.13 M parameters, 862.38 G multiply-adds at 2048x512. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/upernet/moganet/upernet_moganet_tiny_512x512_160k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: upernet_moganet_tiny_512x512_160k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = [
    '../_base_/models/upernet_moganet.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_160k_adamw.py',
    '../_base_/segmentation_runtime.py',
]
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_tiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint_file)))
auto_scale_lr = dict(enable=False, base_batch_size=16)
