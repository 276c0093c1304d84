# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 84.7, Top 5 Accuracy 97.1 on ImageNet-1K (the authors' figures).
# Size: 82.48 M parameters, 15.92 G multiply-adds at 224x224. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12).
# Released weights: moganet_large_sz224_8xbs64_ep300.pth.tar (written by timm, gate activated once, EMA).
# Released weights: moga_large_ema_sz224_8xb64_accu2_ep300.pth (written by OpenMixup, gate activated twice, EMA).
# Released weights: moganet-large_3rdparty_8xb128_in1k.pth (written by mmpretrain port, how often the gate is
#   activated unknown, EMA unknown).
# Note: without EMA the authors report 84.6; TRAINING.md says 128 pictures a GPU, the released file's name 64.

_base_ = './moganet-small_8xb128_in1k.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3),
    head=dict(in_channels=640))
