# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 75.4 on ImageNet-1K (the authors' figures).
# Size: 5.2 M parameters, 1.1 G multiply-adds at 224x224. GPUs: 8, batch 256 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/openmixup/blob/main/configs/classification/imagenet/moganet/moga_tiny_rsb_a3_sz160_8xb256_ep100.py
#   (OpenMixup).
# Released weights: moga_tiny_sz160_rsb_a3_8xb256_ep100.pth (written by OpenMixup, gate activated twice, no EMA).

_base_ = [
    'mmpretrain::_base_/default_runtime.py',
    '../_base_/default_runtime.py',
    '../_base_/models/moganet_classifier.py',
    '../_base_/datasets/imagenet_bs256_rsb-a3_160.py',
    '../_base_/schedules/imagenet_bs2048_lamb_rsb-a3.py',
]
model = dict(
    backbone=dict(gate_act_twice=True),
    head=dict(loss=dict(_delete_=True, type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)))
