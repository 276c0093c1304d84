# A schedule of minutes for the tiny ADE20K set, in parts that a leaf names, as in datasets/tiny_ade20k_128x128.py.
tiny_optim_wrapper = dict(optimizer=dict(lr=3e-3, betas=(0.9, 0.99), weight_decay=0.01))
tiny_param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=50, end=550, by_epoch=False),
]
tiny_train_cfg = dict(max_iters=550, val_interval=550)
tiny_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=275, max_keep_ckpts=2))
