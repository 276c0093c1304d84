# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# Measured here: MPJPE (mm) 44.8 on tiny InterHand2.6M (drawn hands on photographs) on 1 CPU core.
# Command: python tools/train.py configs/pose/internet_moganet-xt_1xb4-3e_tiny-interhand3d-96x96.py --seed 0
# Size: 3.58 M parameters. Processes: 1, batch 4 each.

_base_ = './internet_moganet-xt_4xb16-20e_interhand3d-256x256.py'

codec = dict(image_size=[96, 96], heatmap_size=[24, 24, 24], depth_size=24, sigma=2.0, max_bound=64)
model = dict(
    # At so small a size the last stage has three by three cells, too few to tell where a joint is.
    backbone=dict(arch='xtiny', drop_path_rate=0.0, layer_scale_init_value=1.0, out_indices=(2, ), init_cfg=None),
    head=dict(
        keypoint_head_cfg=dict(
            in_channels=96, out_channels=21 * 24, depth_size=24, deconv_out_channels=(96, 96),
            deconv_kernel_sizes=(4, 4)),
        root_head_cfg=dict(in_channels=96),
        hand_type_head_cfg=dict(in_channels=96),
        decoder=codec))

train_pipeline, val_pipeline = _base_.train_pipeline, _base_.val_pipeline
del train_pipeline[3]  # no turns and shifts: the hands are drawn in all poses, and each is seen three times
train_pipeline[3].update(input_size=codec['image_size'])
train_pipeline[4].encoder.update(codec)
val_pipeline[2].update(input_size=codec['image_size'])
data_root = 'data/tiny/interhand2.6m/'
train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = _base_.val_dataloader
val_dataloader.dataset.update(data_root=data_root, pipeline=val_pipeline)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=0, end=3, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=3, val_interval=1)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None))
auto_scale_lr = dict(base_batch_size=4)
