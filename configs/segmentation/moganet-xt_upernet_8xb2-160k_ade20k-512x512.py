# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 42.2, mAcc 55.1 on ADE20K (the authors' figures).
# Size: 30.44 M parameters, 855.67 G multiply-adds at 2048x512. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/upernet/moganet/upernet_moganet_xtiny_512x512_160k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: upernet_moganet_xtiny_512x512_160k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = './moganet-t_upernet_8xb2-160k_ade20k-512x512.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_xtiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.05, init_cfg=dict(checkpoint=checkpoint_file)),
    decode_head=dict(in_channels=[32, 64, 96, 192]),
    auxiliary_head=dict(in_channels=96))
