# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 12.85 M parameters, 138.95 G multiply-adds at 1280x800. GPUs: 1, batch 2 each, memory not counted.
# Recipe: docs/custom_data.md (MMDetection).
# Note: ours: fine-tuning on data of your own, see docs/custom_data.md; the rate is the benchmark's by the linear
#   rule.

_base_ = './retinanet_moganet-t_fpn_1x_coco.py'

data_root = 'data/custom/coco'
classes = ('cat', 'dog')  # the "categories" of both annotation files, in their order

model = dict(bbox_head=dict(num_classes=len(classes)))
dataset = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=2, dataset=dict(ann_file='annotations/train.json', data_prefix=dict(img='train/'), **dataset))
val_dataloader = test_dataloader = dict(
    dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='val/'), **dataset))
val_evaluator = test_evaluator = dict(ann_file=f'{data_root}/annotations/val.json')

optim_wrapper = dict(optimizer=dict(lr=1e-4 * 2 / 16))
auto_scale_lr = dict(base_batch_size=2)
