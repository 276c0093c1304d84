# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Not measured yet.
# Command: bash tools/dist_train.sh configs/detection/mask-rcnn_moganet-xt_fpn_2xb4-2e_tiny-coco.py 2
# Size: 4.7 M parameters. Processes: 2, batch 4 each.

_base_ = ['./mask-rcnn_moganet-t_fpn_1x_coco.py', '../_base_/datasets/tiny_digits.py']

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
train_pipeline[2].update(scale=(128, 128))
train_pipeline[3].update(prob=0.0)  # a mirrored digit is none
test_pipeline[1].update(scale=(128, 128))
dataset = dict(data_root='data/tiny/coco/', metainfo=dict(classes=_base_.digit_names, palette=_base_.digit_colours))
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline, filter_cfg=dict(min_size=0), **dataset))
val_dataloader = dict(batch_size=4, dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/tiny/coco/annotations/instances_val2017.json')
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=0, end=2, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=2))
auto_scale_lr = dict(base_batch_size=8)
