# timm's schedule for a total batch of 1024: 300 epochs of cosine, its first 5 a linear warm-up from 1e-5, and 10 more
# epochs at the lowest rate (its cooldown_epochs), so 310 in all. Rates change once an epoch.
# The recipe ran under fp16 AMP; that is left to `--amp`, so that the same config also runs where there is none.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.04),
    # timm's rule: tensors of one axis (norms, biases) are not decayed. Layer scales and the decomposition's
    # scales have the shape (1, C, 1, 1), so they are.
    paramwise_cfg=dict(flat_decay_mult=0.0))

param_scheduler = [
    # Epoch t < 5 has 1e-5 + t / 5 * (1e-3 - 1e-5); `end=6` because LinearLR reaches its end one step before.
    dict(type='LinearLR', start_factor=0.01, by_epoch=True, begin=0, end=6),
    # Counted from epoch 0, as timm does: at epoch 5 the rate is 0.9993 of its peak.
    dict(type='CosineAnnealingLR', eta_min=1e-6, T_max=300, by_epoch=True, begin=0, end=301),
]

train_cfg = dict(by_epoch=True, max_epochs=310, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# timm's dist_bn=reduce: BN's running statistics are averaged over the processes after each epoch.
custom_hooks = [dict(type='SyncBuffersHook')]

auto_scale_lr = dict(base_batch_size=1024)
