# ImageNet-1K as in "ResNet strikes back", recipe A3: trained at 160 px, tested at 224 px.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs256_rsb_a3.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=160)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline), persistent_workers=True, drop_last=True)
