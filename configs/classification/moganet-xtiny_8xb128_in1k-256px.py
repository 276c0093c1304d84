# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 77.2, Top 5 Accuracy 93.8 on ImageNet-1K (the authors' figures).
# Size: 2.96 M parameters, 1.04 G multiply-adds at 256x256. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12, in fp16: --amp fp16).
# Released weights: moganet_xtiny_sz256_8xbs128_ep300.pth.tar (written by timm, gate activated once, no EMA).
# Released weights: moga_xtiny_sz256_8xb128_fp16_ep300.pth (written by OpenMixup, gate activated twice, no EMA).
# Corrected: 2.956 M parameters, 2.97 in the authors' tables.
# Note: TRAINING.md lists no XT at 256 px: the settings are the XT's at 224 px.

_base_ = './moganet-xtiny_8xb128_in1k.py'

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1]['transforms'][0][0].update(scale=256)
train_pipeline[1]['transforms'][1][0].update(scale=256)
test_pipeline[1].update(scale=284)  # int(256 / 0.9)
test_pipeline[2].update(crop_size=256)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
