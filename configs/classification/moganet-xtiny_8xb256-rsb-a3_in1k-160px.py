# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 72.8 on ImageNet-1K (the authors' figures).
# Size: 2.96 M parameters, 0.8 G multiply-adds at 224x224. GPUs: 8, batch 256 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/openmixup/blob/main/configs/classification/imagenet/moganet/moga_xtiny_rsb_a3_sz160_8xb256_ep100.py
#   (OpenMixup).
# Released weights: moga_xtiny_sz160_rsb_a3_8xb256_ep100.pth (written by OpenMixup, gate activated twice, no EMA).
# Corrected: 2.956 M parameters, 2.97 in the authors' tables.

_base_ = './moganet-tiny_8xb256-rsb-a3_in1k-160px.py'

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.05),
    head=dict(in_channels=192))
