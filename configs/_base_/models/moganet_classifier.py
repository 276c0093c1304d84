# MogaNet's four stages, the mean of the last map, one linear layer.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='MogaNet', arch='tiny', drop_path_rate=0.1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=256,
        # Smoothing as timm's mixup targets have it: off = 0.1 / 1000, on = 0.9 + off.
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original', loss_weight=1.0),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.)),
    # One of the two for each batch, with equal odds (timm: mixup_prob 1.0, switch_prob 0.5).
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.1), dict(type='CutMix', alpha=1.0)]))
