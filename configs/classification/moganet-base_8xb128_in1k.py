# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 84.3, Top 5 Accuracy 97.0 on ImageNet-1K (the authors' figures).
# Size: 43.72 M parameters, 9.93 G multiply-adds at 224x224. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12).
# Released weights: moganet_base_sz224_8xbs128_ep300.pth.tar (written by timm, gate activated once, EMA).
# Released weights: moga_base_ema_sz224_8xb128_ep300.pth (written by OpenMixup, gate activated twice, EMA).
# Released weights: moganet-base_3rdparty_8xb128_in1k.pth (written by mmpretrain port, how often the gate is activated
#   unknown, EMA unknown).
# Corrected: 43.72 M parameters, 43.9 in the authors' tables.
# Note: without EMA the authors report 84.2.

_base_ = './moganet-small_8xb128_in1k.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.2),
    head=dict(in_channels=512))
