# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: box AP 53.3, mask AP 46.1 on COCO 2017 (the authors' figures).
# Size: 139.88 M parameters, 973.84 G multiply-adds at 1280x800. GPUs: 8, batch 2 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/cascade_mask_rcnn_moganet_l_fpn_giou_4conv1f_ms_3x_coco.py
#   (mmdet 2.26).
# Note: no weights were released.

_base_ = './cascade-mask-rcnn_moganet-s_fpn_giou-4conv1fc-ms-crop-3x_coco.py'
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_large_sz224_8xbs64_ep300.pth.tar')

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint_file)),
    neck=dict(in_channels=[64, 160, 320, 640]))
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerWiseDecayOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, layer_decay_rate=0.8))
