# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 9.07 M parameters, 107.83 G multiply-adds at 2048x512. GPUs: 1, batch 8 each, memory 7.8 GB of tensors by
#   get_memory.py (7.8 GB with model.backbone.with_cp=False, 5.0 GB with True).
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/segmentation/configs/sem_fpn/moganet/fpn_moganet_tiny_80k_ade20k.py
#   (mmseg 0.29.1).
# Note: ours: moganet-t_sem-fpn_8xb4-80k_ade20k-512x512 on one GPU: four batches for each step of the optimizer.

_base_ = './moganet-t_sem-fpn_8xb4-80k_ade20k-512x512.py'

train_dataloader = dict(batch_size=8)
optim_wrapper = dict(accumulative_counts=4)
# Schedules count pictures' batches, not the optimizer's steps: all lengths are four times as long.
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=320000, by_epoch=False)]
train_cfg = dict(max_iters=320000, val_interval=16000)
default_hooks = dict(checkpoint=dict(interval=16000))
auto_scale_lr = dict(base_batch_size=8)
