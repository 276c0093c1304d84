# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 34.46 M parameters, 12.28 G multiply-adds at 256x256. GPUs: 4, batch 16 each, memory not counted.
# Recipe:
#   https://github.com/open-mmlab/mmpose/blob/v1.3.2/configs/hand_3d_keypoint/internet/interhand3d/internet_res50_4xb16-20e_interhand3d-256x256.py
#   (mmpose 1.3.2's InterNet).
# Note: ours: InterNet's recipe with MogaNet in place of ResNet-50, as the XT.

_base_ = './internet_moganet-xt_4xb16-20e_interhand3d-256x256.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_small_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(arch='small', drop_path_rate=0.2, init_cfg=dict(checkpoint=checkpoint_file)),
    head=dict(
        keypoint_head_cfg=dict(in_channels=512),
        root_head_cfg=dict(in_channels=512),
        hand_type_head_cfg=dict(in_channels=512)))
