# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Not measured yet.
# Command: bash tools/dist_train.sh configs/detection/mask-rcnn_moganet-xt_fpn_2xb4-2e_tiny-coco.py 2
# Size: 4.7 M parameters. Processes: 2, batch 4 each.

_base_ = [
    './mask-rcnn_moganet-t_fpn_1x_coco.py',
    '../_base_/datasets/tiny_coco_128x128.py',
    '../_base_/schedules/tiny_coco_2e.py',
]

model = dict(
    backbone=dict(arch='xtiny', drop_path_rate=0.0, layer_scale_init_value=1.0, init_cfg=None),
    neck=dict(in_channels=[32, 64, 96, 192], out_channels=96),
    rpn_head=dict(in_channels=96, feat_channels=96, anchor_generator=dict(scales=[6], ratios=[1.0, 1.8])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=96), mask_roi_extractor=dict(out_channels=96),
        bbox_head=dict(in_channels=96, fc_out_channels=256, num_classes=10),
        mask_head=dict(num_convs=2, in_channels=96, conv_out_channels=96, num_classes=10)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(max_per_img=200), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(max_per_img=100)))

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
