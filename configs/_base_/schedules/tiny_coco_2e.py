# A schedule of minutes for the tiny COCO set, in parts that a leaf names, as in datasets/tiny_coco_128x128.py.
tiny_optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10))
tiny_param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=0, end=2, by_epoch=True, convert_to_iter_based=True),
]
tiny_train_cfg = dict(max_epochs=2, val_interval=1)
tiny_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=2))
