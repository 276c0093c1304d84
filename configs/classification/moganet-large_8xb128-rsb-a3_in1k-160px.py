# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 83.2 on ImageNet-1K (the authors' figures).
# Size: 82.48 M parameters, 15.92 G multiply-adds at 224x224. GPUs: 8, batch 128 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/openmixup/blob/main/configs/classification/imagenet/moganet/moga_large_rsb_a3_sz160_8xb128_accu2_ep100.py
#   (OpenMixup).
# Released weights: moga_large_rsb_a3_sz160_8xb128_accu2_ep100.pth (written by OpenMixup, gate activated twice, no
#   EMA).
# Corrected: the authors' table shows the B's parameters and FLOPs; printed here are the L's.

_base_ = './moganet-tiny_8xb256-rsb-a3_in1k-160px.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.4),
    head=dict(in_channels=640))
train_dataloader = dict(batch_size=128)
# Two batches a step, so the total of the recipe, 2048.
optim_wrapper = dict(accumulative_counts=2, clip_grad=dict(max_norm=10.0))
auto_scale_lr = dict(base_batch_size=1024)
