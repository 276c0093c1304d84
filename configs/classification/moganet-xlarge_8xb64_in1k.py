# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 85.1, Top 5 Accuracy 97.4 on ImageNet-1K (the authors' figures).
# Size: 180.99 M parameters, 34.55 G multiply-adds at 224x224. GPUs: 8, batch 64 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12).
# Released weights: moganet_xlarge_sz224_8xbs64_ep300.pth.tar (written by timm, gate activated once, EMA).
# Released weights: moga_xlarge_ema_sz224_8xb32_accu2_ep300.pth (written by OpenMixup, gate activated twice, EMA).
# Released weights: moganet-xlarge_3rdparty_16xb32_in1k.pth (written by mmpretrain port, how often the gate is
#   activated unknown, EMA unknown).
# Corrected: 180.99 M parameters and 34.55 G multiply-adds, 180.8 and 34.5 in the authors' tables.
# Note: OpenMixup trained with a batch of 1024 and a lowest rate of 1e-4.

_base_ = './moganet-small_8xb128_in1k.py'

model = dict(
    backbone=dict(arch='xlarge', drop_path_rate=0.4),
    head=dict(in_channels=960))
train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=512)
