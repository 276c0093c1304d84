# MMSegmentation's runtime, kept here because `_base_ = ['mmseg::...']` is not found under every distribution of mmseg.
_base_ = './default_runtime.py'

default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True,  # crops of one size in training
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
tta_model = dict(type='SegTTAModel')
