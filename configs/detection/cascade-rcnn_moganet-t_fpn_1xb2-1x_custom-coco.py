# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 49.73 M parameters, 166.02 G multiply-adds at 1280x800. GPUs: 1, batch 2 each, memory 5.1 GB of tensors by
#   get_memory.py (5.1 GB with model.backbone.with_cp=False, 2.2 GB with True).
# Recipe: docs/custom_data.md (MMDetection).
# Note: ours: fine-tuning on data of your own, see docs/custom_data.md; the rate is the benchmark's by the linear
#   rule.

_base_ = './cascade-rcnn_moganet-t_fpn_1x_coco.py'

data_root = 'data/custom/coco'
classes = ('cat', 'dog')  # the "categories" of both annotation files, in their order

heads = [dict(head, num_classes=len(classes)) for head in _base_.model.roi_head.bbox_head]
model = dict(roi_head=dict(bbox_head=heads))
dataset = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=2, dataset=dict(ann_file='annotations/train.json', data_prefix=dict(img='train/'), **dataset))
val_dataloader = test_dataloader = dict(
    dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='val/'), **dataset))
val_evaluator = test_evaluator = dict(ann_file=f'{data_root}/annotations/val.json')

optim_wrapper = dict(optimizer=dict(lr=2e-4 * 2 / 16))
auto_scale_lr = dict(base_batch_size=2)
