# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Not measured yet.
# Command: bash tools/dist_train.sh configs/segmentation/moganet-xt_sem-fpn_1xb8-550iter_tiny-ade20k-128x128.py 1
# Size: 3.2 M parameters. Processes: 1, batch 8 each.

_base_ = ['./moganet-t_sem-fpn_8xb4-80k_ade20k-512x512.py', '../_base_/datasets/tiny_digits.py']

model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(arch='xtiny', drop_path_rate=0.0, layer_scale_init_value=1.0, init_cfg=None),
    neck=dict(in_channels=[32, 64, 96, 192], out_channels=64, norm_cfg=dict(type='BN')),
    decode_head=dict(
        in_channels=[64, 64, 64, 64], channels=64, num_classes=11,
        loss_decode=dict(class_weight=[1.0] * 10 + [0.6])))  # four pixels in five are ground

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
dataset = dict(
    type='BaseSegDataset',
    reduce_zero_label=True,
    data_root='data/tiny/ade/ADEChallengeData2016',
    metainfo=dict(classes=(*_base_.digit_names, 'ground'), palette=[*_base_.digit_colours, [64, 64, 64]]))
test_pipeline, tta_pipeline = train_pipeline, _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.75, 1.0, 1.25)]
train_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=50, end=550, by_epoch=False),
]
train_cfg = dict(max_iters=550, val_interval=550)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=275, max_keep_ckpts=2))
auto_scale_lr = dict(base_batch_size=8)
