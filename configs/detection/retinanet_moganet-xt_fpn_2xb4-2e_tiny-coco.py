# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Measured here: box AP 48.3, box AP@0.5 72.7 on tiny COCO (digits on photographs), after 7.0 minutes on 2 CPU cores.
# Command: make demo TASK=detection
# Size: 3.45 M parameters. Processes: 2, batch 4 each.

_base_ = ['./retinanet_moganet-t_fpn_1x_coco.py', '../_base_/datasets/tiny_digits.py']

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.0, layer_scale_init_value=1.0, init_cfg=None),
    neck=dict(in_channels=[32, 64, 96, 192], out_channels=96, num_outs=3),
    bbox_head=dict(
        num_classes=10,
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=16),
        # Digits are 30 to 59 pixels high and 1.2 to 1.9 times as high as wide.
        anchor_generator=dict(octave_base_scale=2.5, ratios=[1.2, 1.8], strides=[8, 16, 32])))

data_root = 'data/tiny/coco/'
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].update(scale=(128, 128))
train_pipeline[3].update(prob=0.0)  # a mirrored digit is none
test_pipeline[1].update(scale=(128, 128))
dataset = dict(data_root=data_root, metainfo=dict(classes=_base_.digit_names, palette=_base_.digit_colours))
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline, filter_cfg=dict(min_size=0), **dataset))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=0, end=2, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=2))
auto_scale_lr = dict(base_batch_size=8)
