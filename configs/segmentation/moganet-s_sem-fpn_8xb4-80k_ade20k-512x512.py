# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 47.7, mAcc 59.8 on ADE20K (the authors' figures).
# Size: 29.09 M parameters, 189.67 G multiply-adds at 2048x512. GPUs: 8, batch 4 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/sem_fpn/moganet/fpn_moganet_small_80k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: fpn_moganet_small_80k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = './moganet-t_sem-fpn_8xb4-80k_ade20k-512x512.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_small_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='small', drop_path_rate=0.1, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 128, 320, 512]))
