# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 180.99 M parameters, 101.55 G multiply-adds at 384x384. GPUs: 32, batch 16 each, memory 31.4 GB of tensors by
#   get_memory.py (31.4 GB with model.backbone.with_cp=False, 6.5 GB with True).
# Recipe: https://arxiv.org/abs/2201.03545 (appendix A, fine-tuning).
# Note: ours: goes on from what moganet-xlarge_64xb64-90e_in21k leaves in work_dirs; ConvNeXt's protocol with its XL's
#   drop path and no average of the weights.

_base_ = './moganet-xlarge_8xb64_in1k.py'

model = dict(
    backbone=dict(
        # Where the other config leaves it; no such file was published.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/moganet-xlarge_64xb64-90e_in21k/epoch_90.pth',
            prefix='backbone.')),
    # The usual deviation of 0.02 times 0.001, the protocol's scale for a new head.
    head=dict(init_cfg=dict(std=2e-5)),
    train_cfg=None)

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1] = dict(type='RandomResizedCrop', scale=384, backend='pillow', interpolation='bicubic')
train_pipeline[3] = train_pipeline[3]['transforms'][1][0]
test_pipeline[1:3] = [dict(type='Resize', scale=(384, 384), backend='pillow', interpolation='bicubic')]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    optimizer=dict(lr=5e-5, weight_decay=1e-8),
    constructor='LayerWiseDecayOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, layer_decay_rate=0.8))
# Each depth's rate falls to the same part of itself: 1e-6 of 5e-5 for the head.
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min_ratio=0.02, by_epoch=True, begin=0, end=30, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=30)
custom_hooks = [dict(type='SyncBuffersHook')]
