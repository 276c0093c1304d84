# The tiny COCO set, in parts that a leaf names: MMEngine refuses a key that another of its bases has too.
_base_ = './tiny_digits.py'

tiny_resize = dict(scale=(128, 128))
tiny_flip = dict(prob=0.0)  # a mirrored digit is none
tiny_dataset = dict(
    data_root='data/tiny/coco/', metainfo=dict(classes=_base_.digit_names, palette=_base_.digit_colours))
tiny_train_dataset = dict(filter_cfg=dict(min_size=0), **tiny_dataset)
tiny_evaluator = dict(ann_file='data/tiny/coco/annotations/instances_val2017.json')
