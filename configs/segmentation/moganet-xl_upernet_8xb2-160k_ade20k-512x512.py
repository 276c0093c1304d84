# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 214 M parameters, 1568.73 G multiply-adds at 2048x512. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/upernet/moganet/upernet_moganet_xlarge_512x512_160k_ade20k.py
#   (mmseg 0.29.1).
# Note: config only: neither result nor weights were published.

_base_ = './moganet-t_upernet_8xb2-160k_ade20k-512x512.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_xlarge_sz224_8xbs64_ep300.pth.tar')

model = dict(
    backbone=dict(arch='xlarge', drop_path_rate=0.4, init_cfg=dict(checkpoint=checkpoint_file)),
    decode_head=dict(in_channels=[96, 192, 480, 960]),
    auxiliary_head=dict(in_channels=480))
