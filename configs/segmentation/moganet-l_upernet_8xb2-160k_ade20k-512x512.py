# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 50.9, mAcc 63.5 on ADE20K (the authors' figures).
# Size: 113.2 M parameters, 1176.12 G multiply-adds at 2048x512. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/upernet/moganet/upernet_moganet_large_512x512_160k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: upernet_moganet_large_512x512_160k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = './moganet-t_upernet_8xb2-160k_ade20k-512x512.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_large_sz224_8xbs64_ep300.pth.tar')

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint_file)),
    decode_head=dict(in_channels=[64, 160, 320, 640]),
    auxiliary_head=dict(in_channels=320))
