# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 76.5, Top 5 Accuracy 93.4 on ImageNet-1K (the authors' figures).
# Size: 2.96 M parameters, 0.8 G multiply-adds at 224x224. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12, in fp16: --amp fp16).
# Released weights: moganet_xtiny_sz224_8xbs128_ep300.pth.tar (written by timm, gate activated once, no EMA).
# Released weights: moga_xtiny_sz224_8xb128_fp16_ep300.pth (written by OpenMixup, gate activated twice, no EMA).
# Released weights: moganet-xtiny_3rdparty_8xb128_in1k.pth (written by mmpretrain port, how often the gate is
#   activated unknown, EMA unknown).
# Corrected: 2.956 M parameters, 2.97 in the authors' tables.

_base_ = './moganet-tiny_8xb128_in1k.py'

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.05),
    head=dict(in_channels=192))
optim_wrapper = dict(optimizer=dict(weight_decay=0.03))
