# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 4.94 M parameters, 1.1 G multiply-adds at 224x224. GPUs: 1, batch 64 each, memory 5.0 GB of tensors by
#   get_memory.py (5.0 GB with model.backbone.with_cp=False, 1.7 GB with True).
# Recipe: docs/custom_data.md (MMPreTrain).
# Note: ours: fine-tuning on data of your own, see docs/custom_data.md; the rate is the benchmark's by the linear
#   rule.

_base_ = './moganet-tiny_8xb128_in1k.py'

data_root = 'data/custom/classification'
classes = ('cat', 'dog')  # the folders in train/ and in val/, in the order of `LC_ALL=C ls`

checkpoint_file = ('https://github.com/Westlake-AI/MogaNet/releases/download/'
                   'moganet-in1k-weights/moganet_tiny_sz224_8xbs128_ep300.pth.tar')
data_preprocessor = dict(num_classes=len(classes))
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint_file)), head=dict(num_classes=len(classes)))
dataset = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(batch_size=64, drop_last=False, dataset=dataset)
val_dataloader = test_dataloader = dict(dataset=dataset)
val_evaluator = test_evaluator = dict(topk=(1, ))

optim_wrapper = dict(optimizer=dict(lr=1e-3 * 64 / 1024))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=1e-6, begin=0, end=30, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=30)
auto_scale_lr = dict(base_batch_size=64)
