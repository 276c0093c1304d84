# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 79.0, Top 5 Accuracy 94.6 on ImageNet-1K (the authors' figures).
# Size: 5.2 M parameters, 1.1 G multiply-adds at 224x224. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12, in fp16: --amp fp16).
# Released weights: moganet_tiny_sz224_8xbs128_ep300.pth.tar (written by timm, gate activated once, no EMA).
# Released weights: moga_tiny_sz224_8xb128_fp16_ep300.pth (written by OpenMixup, gate activated twice, no EMA).
# Released weights: moganet-tiny_3rdparty_8xb128_in1k.pth (written by mmpretrain port, how often the gate is activated
#   unknown, EMA unknown).
# Note: the mmpretrain port reports 77.24 for its file, not 79.0: another file, or another gate; the first one is to
#   be preferred.

_base_ = [
    'mmpretrain::_base_/default_runtime.py',
    '../_base_/default_runtime.py',
    '../_base_/models/moganet_classifier.py',
    '../_base_/datasets/imagenet_bs128_timm_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_timm.py',
]
# As timm: each process draws its own mixing and stochastic depth.
randomness = dict(seed=42, diff_rank_seed=True)
