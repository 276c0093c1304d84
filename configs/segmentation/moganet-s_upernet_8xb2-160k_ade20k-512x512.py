# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 49.2, mAcc 61.6 on ADE20K (the authors' figures).
# Size: 55.31 M parameters, 946.39 G multiply-adds at 2048x512. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/upernet/moganet/upernet_moganet_small_512x512_160k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: upernet_moganet_small_512x512_160k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = './moganet-t_upernet_8xb2-160k_ade20k-512x512.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_small_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='small', drop_path_rate=0.1, init_cfg=dict(checkpoint=checkpoint_file)),
    decode_head=dict(in_channels=[64, 128, 320, 512]),
    auxiliary_head=dict(in_channels=320))
