# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Measured here: AP 75.5, AP@0.5 97.9, AP@0.75 91.5 on tiny COCO keypoints (drawn figures on photographs), after 5.0
#   minutes on 2 CPU cores.
# Command: make demo TASK=pose
# Size: 2.93 M parameters. Processes: 2, batch 8 each.

_base_ = './td-hm_moganet-t_8xb32-210e_coco-256x192.py'

codec = dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)
model = dict(
    # At so small a size the last stage has four by three cells, too few to tell where an ankle is.
    backbone=dict(arch='xtiny', drop_path_rate=0.0, layer_scale_init_value=1.0, out_indices=(2, ), init_cfg=None),
    head=dict(in_channels=96, deconv_out_channels=(64, 64), deconv_kernel_sizes=(4, 4), decoder=codec))

train_pipeline, val_pipeline = _base_.train_pipeline, _base_.val_pipeline
train_pipeline[3:5] = [dict(type='RandomBBoxTransform', scale_factor=(0.8, 1.2), rotate_factor=30)]  # no half bodies
train_pipeline[4].update(input_size=codec['input_size'])
train_pipeline[5].update(encoder=codec)
val_pipeline[2].update(input_size=codec['input_size'])
data_root = 'data/tiny/coco_pose/'
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, bbox_file=None, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=0, end=4, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=4, val_interval=2)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None))
auto_scale_lr = dict(base_batch_size=16)
