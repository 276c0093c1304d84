# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: mIoU 43.1, mAcc 55.4 on ADE20K (the authors' figures).
# Size: 9.07 M parameters, 107.83 G multiply-adds at 2048x512. GPUs: 8, batch 4 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/sem_fpn/moganet/fpn_moganet_tiny_80k_ade20k.py
#   (mmseg 0.29.1).
# Released weights: fpn_moganet_tiny_80k_ade20k.pth (written by mmseg 0.x, gate activated once, no EMA).

_base_ = [
    '../_base_/models/fpn_moganet.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_80k_adamw.py',
    '../_base_/segmentation_runtime.py',
]
checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_tiny_sz224_8xbs128_ep300.pth.tar')

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint_file)))
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(enable=False, base_batch_size=32)
