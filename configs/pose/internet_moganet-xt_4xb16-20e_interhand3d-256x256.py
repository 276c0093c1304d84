# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 9.46 M parameters, 6.67 G multiply-adds at 256x256. GPUs: 4, batch 16 each, memory not counted.
# Recipe:
#   https://github.com/open-mmlab/mmpose/blob/v1.3.2/configs/hand_3d_keypoint/internet/interhand3d/internet_res50_4xb16-20e_interhand3d-256x256.py
#   (mmpose 1.3.2's InterNet).
# Note: ours: InterNet's recipe with MogaNet in place of ResNet-50; the authors' 3D poses are of body models under a
#   licence and of code that they did not release.

_base_ = [
    'mmpose::hand_3d_keypoint/internet/interhand3d/internet_res50_4xb16-20e_interhand3d-256x256.py',
    '../_base_/default_runtime.py',
]
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_xtiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    backbone=dict(
        _delete_=True,
        type='MogaNet',
        arch='xtiny',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint_file)),
    head=dict(
        keypoint_head_cfg=dict(in_channels=192),
        root_head_cfg=dict(in_channels=192),
        hand_type_head_cfg=dict(in_channels=192)))
# mmpose's own scales the rate by a batch of 128, where its name and its loaders say four times 16.
auto_scale_lr = dict(base_batch_size=64)
# In the picture: mmpose's 3D axes are metres wide, and joints of this data set are pixels and millimetres.
visualizer = dict(type='PoseLocalVisualizer')
