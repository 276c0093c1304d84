# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 80.0, Top 5 Accuracy 95.0 on ImageNet-1K (the authors' figures).
# Size: 5.2 M parameters, 1.44 G multiply-adds at 256x256. GPUs: 8, batch 128 each, memory not published.
# Recipe:
#   https://github.com/Westlake-AI/openmixup/blob/main/configs/classification/imagenet/moganet/moga_tiny_deit3_sz256_lr2e_3_8xb128_fp16_ep300.py
#   (OpenMixup, in fp16: --amp fp16).
# Released weights: moga_tiny_deit3_sz256_lr2e_3_8xb128_fp16_ep300.pth (written by OpenMixup, gate activated twice, no
#   EMA).

_base_ = [
    'mmpretrain::_base_/default_runtime.py',
    '../_base_/default_runtime.py',
    '../_base_/models/moganet_classifier.py',
    '../_base_/datasets/imagenet_bs128_3aug_256.py',
    '../_base_/schedules/imagenet_bs1024_adamw_openmixup.py',
]
model = dict(backbone=dict(gate_act_twice=True))
