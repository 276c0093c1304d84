# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 9.05 M parameters, 106.58 G multiply-adds at 2048x512. GPUs: 1, batch 8 each, memory 4.1 GB of tensors by
#   get_memory.py (4.1 GB with model.backbone.with_cp=False, 1.3 GB with True).
# Recipe: docs/custom_data.md (MMSegmentation).
# Note: ours: fine-tuning on data of your own, see docs/custom_data.md; the rate is the benchmark's by the linear
#   rule.

_base_ = './moganet-t_sem-fpn_8xb4-80k_ade20k-512x512.py'

data_root = 'data/custom/segmentation'
classes = ('road', 'building', 'tree')  # what the labels 0, 1, 2 mean; 255 is ignored

model = dict(decode_head=dict(num_classes=len(classes)))
# With reduce_zero_label=True label 0 is ignored, and the classes are what the labels 1, 2, 3 mean.
dataset = dict(type='BaseSegDataset', data_root=data_root, metainfo=dict(classes=classes), img_suffix='.jpg',
               seg_map_suffix='.png', reduce_zero_label=False)
train_dataloader = dict(
    batch_size=8, dataset=dict(data_prefix=dict(img_path='images/train', seg_map_path='labels/train'), **dataset))
val_dataloader = test_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path='images/val', seg_map_path='labels/val'), **dataset))

optim_wrapper = dict(optimizer=dict(lr=2e-4 * 8 / 32))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=20000, by_epoch=False)]
train_cfg = dict(max_iters=20000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
auto_scale_lr = dict(base_batch_size=8)
