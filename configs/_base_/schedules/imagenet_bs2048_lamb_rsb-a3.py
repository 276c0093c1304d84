# "ResNet strikes back", recipe A3, as OpenMixup ran it for MogaNet: LAMB, a total batch of 2048, 100 epochs of cosine.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Lamb', lr=6e-3, weight_decay=0.02),
    # Norms, biases, layer scales and the decompositions' scales are not decayed.
    paramwise_cfg=dict(
        bias_decay_mult=0.0,
        norm_decay_mult=0.0,
        custom_keys=dict(layer_scale=dict(decay_mult=0.0), scale=dict(decay_mult=0.0))))

param_scheduler = [
    # The decay is counted from the first iteration and the warm-up multiplies it, as in mmcv 1.x.
    dict(type='LinearLR', start_factor=1e-5, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=0, end=100, convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# BN's statistics are taken anew from 8,192 pictures after each epoch.
custom_hooks = [dict(type='PreciseBNHook', num_samples=8192, interval=1)]

auto_scale_lr = dict(base_batch_size=2048)
