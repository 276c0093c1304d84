# The tiny ADE20K set, in parts that a leaf names: MMEngine refuses a key that another of its bases has too.
_base_ = './tiny_digits.py'

tiny_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tiny_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        type='BaseSegDataset',
        reduce_zero_label=True,
        data_root='data/tiny/ade/ADEChallengeData2016',
        metainfo=dict(classes=(*_base_.digit_names, 'ground'), palette=[*_base_.digit_colours, [64, 64, 64]]),
        pipeline=tiny_pipeline))
