# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Expected: Top 1 Accuracy 83.4, Top 5 Accuracy 96.9 on ImageNet-1K (the authors' figures).
# Size: 25.34 M parameters, 4.97 G multiply-adds at 224x224. GPUs: 8, batch 128 each, memory not published.
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12).
# Released weights: moganet_small_sz224_8xbs128_ep300.pth.tar (written by timm, gate activated once, EMA).
# Released weights: moga_small_ema_sz224_8xb128_ep300.pth (written by OpenMixup, gate activated twice, EMA).
# Released weights: moga_small_ema_sz224_8xb128_no_forcefp32_ep300.pth (written by OpenMixup, gate activated once,
#   EMA).
# Released weights: moganet-small_3rdparty_8xb128_in1k.pth (written by mmpretrain port, how often the gate is
#   activated unknown, EMA unknown).

_base_ = './moganet-tiny_8xb128_in1k.py'

model = dict(
    backbone=dict(arch='small'),
    head=dict(in_channels=512),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))

train_pipeline, param_scheduler = _base_.train_pipeline, _base_.param_scheduler
train_pipeline[3]['transforms'][0][0].update(magnitude_level=9)
train_pipeline[3]['transforms'][1][0].update(magnitude_level=9)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
param_scheduler[1].update(eta_min=1e-5)
# timm averages the whole state, BN's statistics too; what is evaluated is the average.
custom_hooks = [dict(type='SyncBuffersHook'), dict(type='EMAHook', momentum=1e-4, update_buffers=True)]
