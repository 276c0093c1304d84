# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 40.3, mAcc 52.4 on ADE20K (the authors' figures).
# Size: 6.87 M parameters, 101.44 G multiply-adds at 2048x512. GPUs: 8, batch 4 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/sem_fpn/moganet/fpn_moganet_xtiny_80k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: fpn_moganet_xtiny_80k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = './moganet-t_sem-fpn_8xb4-80k_ade20k-512x512.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_xtiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.05, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[32, 64, 96, 192]))
