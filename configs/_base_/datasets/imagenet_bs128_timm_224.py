# ImageNet-1K at 224 px with timm's light augmentation: rand-m7-mstd0.5-inc1, random erasing 0.25, crop 0.9.
dataset_type = 'ImageNet'
data_root = 'data/imagenet'
data_preprocessor = dict(
    num_classes=1000,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

bgr_mean = [103.53, 116.28, 123.675]
bgr_std = [57.375, 57.12, 58.395]
pad_val = [round(x) for x in bgr_mean]
rand_augment = dict(
    type='RandAugment',
    policies='timm_increasing',
    num_policies=2,
    total_level=10,
    magnitude_level=7,
    magnitude_std=0.5)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    # timm's "random" interpolation: bilinear or bicubic, picked for each image.
    dict(
        type='RandomChoice',
        transforms=[[dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bilinear')],
                    [dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic')]]),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    # The same for what turns and shears, where timm picks for each of the two operations.
    dict(
        type='RandomChoice',
        transforms=[[dict(hparams=dict(pad_val=pad_val, interpolation='bilinear'), **rand_augment)],
                    [dict(hparams=dict(pad_val=pad_val, interpolation='bicubic'), **rand_augment)]]),
    # timm erases after normalising, with unit noise: the same as noise of the images' own mean and deviation here.
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=bgr_mean,
        fill_std=bgr_std),
    dict(type='PackInputs'),
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=248, edge='short', backend='pillow', interpolation='bicubic'),  # int(224 / 0.9)
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline))

val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, split='val', pipeline=test_pipeline))
val_evaluator = dict(type='Accuracy', topk=(1, 5))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
