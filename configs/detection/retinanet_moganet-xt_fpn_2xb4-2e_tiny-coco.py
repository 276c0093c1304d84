# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Measured here: box AP50 89.4, box AP 65.0 on tiny COCO (digits on photographs), after 6.9 minutes on 2 CPU cores.
# Command: make demo TASK=detection
# Size: 3.45 M parameters. Processes: 2, batch 4 each.

_base_ = [
    './retinanet_moganet-t_fpn_1x_coco.py',
    '../_base_/datasets/tiny_coco_128x128.py',
    '../_base_/schedules/tiny_coco_2e.py',
]

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.0, layer_scale_init_value=1.0, init_cfg=None),
    neck=dict(in_channels=[32, 64, 96, 192], out_channels=96, num_outs=3),
    bbox_head=dict(
        num_classes=10,
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=16),
        # Digits are 22 to 46 pixels high and mostly 1.2 to 1.8 times as high as wide.
        anchor_generator=dict(octave_base_scale=2.5, ratios=[1.2, 1.8], strides=[8, 16, 32])))

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].update(_base_.tiny_resize)
train_pipeline[3].update(_base_.tiny_flip)
test_pipeline[1].update(_base_.tiny_resize)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline, **_base_.tiny_train_dataset))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline, **_base_.tiny_dataset))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = _base_.tiny_evaluator

optim_wrapper, param_scheduler = _base_.tiny_optim_wrapper, _base_.tiny_param_scheduler
train_cfg, default_hooks = _base_.tiny_train_cfg, _base_.tiny_hooks
auto_scale_lr = dict(base_batch_size=8)
