# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 77.6 on ImageNet-1K (the authors' figures).
# Size: 2.96 M parameters, 1.04 G multiply-adds at 256x256. GPUs: 8, batch 128 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/openmixup/blob/main/configs/classification/imagenet/moganet/moga_xtiny_deit3_sz256_lr2e_3_8xb128_fp16_ep300.py
#   (OpenMixup, in fp16: --amp fp16).
# Released weights: moga_xtiny_deit3_sz256_lr2e_3_8xb128_fp16_ep300.pth (written by OpenMixup, gate activated twice,
#   no EMA).
# Corrected: 2.956 M parameters, 2.97 in the authors' tables.

_base_ = './moganet-tiny_8xb128-refined_in1k-256px.py'

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.05),
    head=dict(in_channels=192))
optim_wrapper = dict(optimizer=dict(weight_decay=0.03))
