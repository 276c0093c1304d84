# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 79.6, Top 5 Accuracy 94.9 on ImageNet-1K (the authors' figures).
# Size: 5.2 M parameters, 1.44 G multiply-adds at 256x256. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12, in fp16: --amp fp16).
# Released weights: moganet_tiny_sz256_8xbs128_ep300.pth.tar (written by timm, gate activated once, no EMA).
# Released weights: moga_tiny_sz256_8xb128_fp16_ep300.pth (written by OpenMixup, gate activated twice, no EMA).

_base_ = './moganet-tiny_8xb128_in1k.py'

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1]['transforms'][0][0].update(scale=256)
train_pipeline[1]['transforms'][1][0].update(scale=256)
test_pipeline[1].update(scale=284)  # int(256 / 0.9)
test_pipeline[2].update(crop_size=256)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
