# MMDetection's 1x schedule (12 epochs, steps at 8 and 11, 500 iterations of warm-up) with MogaNet's optimizer.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

randomness = dict(seed=0)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    # Keys are matched as parts of a parameter's name. No key fits the biases of convolutions, nor the two norms inside
    # the stem (`patch_embed1.projection.{1,4}`): these keep their decay, as they did when the authors trained.
    paramwise_cfg=dict(
        custom_keys=dict(layer_scale=dict(decay_mult=0.0), scale=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))))
