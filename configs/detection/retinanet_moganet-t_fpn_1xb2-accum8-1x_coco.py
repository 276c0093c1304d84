# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 14.47 M parameters, 173.46 G multiply-adds at 1280x800. GPUs: 1, batch 2 each, memory 5.3 GB of tensors by
#   get_memory.py (5.3 GB with model.backbone.with_cp=False, 2.4 GB with True).
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/detection/configs/moganet/retinanet_moganet_tiny_fpn_1x_coco.py
#   (mmdet 2.26).
# Note: ours: retinanet_moganet-t_fpn_1x_coco on one GPU: eight batches for each step of the optimizer.

_base_ = './retinanet_moganet-t_fpn_1x_coco.py'

optim_wrapper = dict(accumulative_counts=8)
# Schedules count pictures' batches, not the optimizer's steps: the warm-up takes eight times as many.
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=4000)
auto_scale_lr = dict(base_batch_size=2)
