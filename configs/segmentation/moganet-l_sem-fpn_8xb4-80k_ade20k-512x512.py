# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 50.2, mAcc 63.0 on ADE20K (the authors' figures).
# Size: 86.15 M parameters, 418.69 G multiply-adds at 2048x512. GPUs: 8, batch 4 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/sem_fpn/moganet/fpn_moganet_large_80k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: fpn_moganet_large_80k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = './moganet-t_sem-fpn_8xb4-80k_ade20k-512x512.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_large_sz224_8xbs64_ep300.pth.tar')

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 160, 320, 640]))
