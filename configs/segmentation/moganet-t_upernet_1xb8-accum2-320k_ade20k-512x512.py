# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 33.13 M parameters, 862.38 G multiply-adds at 2048x512. GPUs: 1, batch 8 each, memory 12.5 GB of tensors by
#   get_memory.py (12.5 GB with model.backbone.with_cp=False, 9.6 GB with True).
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/upernet/moganet/upernet_moganet_tiny_512x512_160k_ade20k.py
#   (mmseg 0.29.1).
# Note: ours: moganet-t_upernet_8xb2-160k_ade20k-512x512 on one GPU: two batches for each step of the optimizer.

_base_ = './moganet-t_upernet_8xb2-160k_ade20k-512x512.py'

train_dataloader = dict(batch_size=8)
optim_wrapper = dict(accumulative_counts=2)
# Schedules count pictures' batches, not the optimizer's steps: all lengths are twice as long.
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=3000)
param_scheduler[1].update(end=320000)
train_cfg = dict(max_iters=320000, val_interval=32000)
default_hooks = dict(checkpoint=dict(interval=32000))
auto_scale_lr = dict(base_batch_size=8)
