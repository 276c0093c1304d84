# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 201.02 M parameters, 34.57 G multiply-adds at 224x224. GPUs: 64, batch 64 each, memory 42.1 GB of tensors by
#   get_memory.py (42.1 GB with model.backbone.with_cp=False, 8.2 GB with True).
# Recipe: https://arxiv.org/abs/2201.03545 (appendix A, pretraining).
# Note: ours: the authors report 87.8 for XL pretrained on ImageNet-21K and fine-tuned at 384 px, and published
#   neither recipe nor weights; this is ConvNeXt's protocol with its XL's drop path, and MogaNet's own layer scales.

_base_ = [
    'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py',
    'mmpretrain::_base_/default_runtime.py',
    '../_base_/default_runtime.py',
    '../_base_/models/moganet_classifier.py',
]

data_preprocessor = dict(num_classes=21841)
model = dict(
    backbone=dict(arch='xlarge', drop_path_rate=0.2),
    head=dict(in_channels=960, num_classes=21841),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
train_dataloader = dict(drop_last=True, dataset=dict(type='ImageNet21k', data_root='data/imagenet21k'))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-3, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        bias_decay_mult=0.0,
        norm_decay_mult=0.0,
        custom_keys=dict(layer_scale=dict(decay_mult=0.0), scale=dict(decay_mult=0.0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=5, end=90, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=90)
custom_hooks = [dict(type='SyncBuffersHook')]
# ImageNet-21K has no validation set.
val_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None
auto_scale_lr = dict(base_batch_size=4096)
