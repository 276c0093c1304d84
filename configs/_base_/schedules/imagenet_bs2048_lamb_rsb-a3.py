# "ResNet strikes back", recipe A3, as OpenMixup ran it for MogaNet: LAMB, a total batch of 2048, 100 epochs of cosine.
_base_ = './imagenet_bs1024_adamw_openmixup.py'

optim_wrapper = dict(optimizer=dict(_delete_=True, type='Lamb', lr=6e-3, weight_decay=0.02))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=1e-5, end=5)
param_scheduler[1].update(end=100)
train_cfg = dict(max_epochs=100)
auto_scale_lr = dict(base_batch_size=2048)
