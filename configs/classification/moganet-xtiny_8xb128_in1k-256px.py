# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 77.2, Top 5 Accuracy 93.8 on ImageNet-1K (the authors' figures).
# Size: 2.96 M parameters, 1.04 G multiply-adds at 256x256. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12, in fp16: --amp fp16).
# Released weights: moganet_xtiny_sz256_8xbs128_ep300.pth.tar (written by timm, gate activated once, no EMA).
# Released weights: moga_xtiny_sz256_8xb128_fp16_ep300.pth (written by OpenMixup, gate activated twice, no EMA).
# Corrected: 2.956 M parameters, 2.97 in the authors' tables.
# Note: TRAINING.md lists no XT at 256 px: the settings are the XT's at 224 px.

_base_ = './moganet-tiny_8xb128_in1k-256px.py'

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.05),
    head=dict(in_channels=192))
optim_wrapper = dict(optimizer=dict(weight_decay=0.03))
