# OpenMixup's refined schedule for a total batch of 1024: 300 epochs of cosine, of which 20 are a warm-up; rates change
# at each iteration. The recipe ran under fp16 AMP, which is left to `--amp`.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.04),
    # Norms, biases, layer scales and the decompositions' scales are not decayed.
    paramwise_cfg=dict(
        bias_decay_mult=0.0,
        norm_decay_mult=0.0,
        custom_keys=dict(layer_scale=dict(decay_mult=0.0), scale=dict(decay_mult=0.0))))

param_scheduler = [
    # The decay is counted from the first iteration and the warm-up multiplies it, as in mmcv 1.x.
    dict(type='LinearLR', start_factor=1e-6, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=0, end=300, convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# BN's statistics are taken anew from 8,192 pictures after each epoch.
custom_hooks = [dict(type='PreciseBNHook', num_samples=8192, interval=1)]

auto_scale_lr = dict(base_batch_size=1024)
