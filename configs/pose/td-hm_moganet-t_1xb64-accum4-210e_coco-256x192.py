# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 8.09 M parameters, 2.15 G multiply-adds at 256x192. GPUs: 1, batch 64 each, memory 5.8 GB of tensors by
#   get_memory.py (5.8 GB with model.backbone.with_cp=False, 1.7 GB with True).
# Recipe:
#   https://github.com/Westlake-AI/MogaNet/blob/main/pose_estimation/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/moganet_t_coco_256x192.py
#   (mmpose 0.29).
# Note: ours: td-hm_moganet-t_8xb32-210e_coco-256x192 on one GPU: four batches for each step of the optimizer.

_base_ = './td-hm_moganet-t_8xb32-210e_coco-256x192.py'

train_dataloader = dict(batch_size=64)
optim_wrapper = dict(accumulative_counts=4)
# Schedules count pictures' batches, not the optimizer's steps: the warm-up takes four times as many.
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=2000)
auto_scale_lr = dict(base_batch_size=64)
