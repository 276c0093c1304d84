"""The rows of the papers' tables: what each recipe sets, written down here once more from the authors' settings."""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import HOOKS, TRANSFORMS

from .leaves import BENCHMARKS, arch_of, build_model, dataset, decays, find, read
from .test_recipes import rates

DIGITS = dict(metainfo=dict(classes=('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')))
CLASSIFICATION = [leaf for leaf in BENCHMARKS if leaf.startswith('classification')]

# Drop path, weight decay, mixup's alpha, RandAugment's magnitude, lowest rate, average of the weights.
TIMM = {
    'xtiny': (0.05, 0.03, 0.1, 7, 1e-6, False),
    'tiny': (0.1, 0.04, 0.1, 7, 1e-6, False),
    'small': (0.1, 0.05, 0.8, 9, 1e-5, True),
    'base': (0.2, 0.05, 0.8, 9, 1e-5, True),
    'large': (0.3, 0.05, 0.8, 9, 1e-5, True),
    'xlarge': (0.4, 0.05, 0.8, 9, 1e-5, True),
}
# Learning rate, drop path of each arch.
RETINANET = {arch: (1e-4, drop) for arch, drop in zip(TIMM, (0.05, 0.1, 0.1, 0.2, 0.3))}
MASK_1X = {arch: (lr, drop) for (arch, (_, drop)), lr in zip(RETINANET.items(), (2e-4, 2e-4, 2e-4, 1e-4, 1e-4))}
MASK_3X = {'tiny': (2e-4, 0.1), 'small': (2e-4, 0.1), 'base': (2e-4, 0.3), 'large': (2e-4, 0.3)}
CASCADE = {'small': (2e-4, 0.1), 'base': (1e-4, 0.2), 'large': (1e-4, 0.3)}
SEM_FPN = {arch: (2e-4, drop) for arch, (_, drop) in RETINANET.items()}
UPERNET = {arch: (1e-4, values[0]) for arch, values in TIMM.items()}
POSE = {'xtiny': (1e-3, 0.1), 'tiny': (1e-3, 0.15), 'small': (1e-3, 0.2), 'base': (1e-3, 0.3)}
DENSE = {
    'retinanet_moganet-{}_fpn_1x_coco': RETINANET,
    '/mask-rcnn_moganet-{}_fpn_1x_coco': MASK_1X,
    '/mask-rcnn_moganet-{}_fpn_ms-crop-3x_coco': MASK_3X,
    'cascade-mask-rcnn_moganet-{}_fpn_ms-crop-3x_coco': {'small': CASCADE['small']},
    'cascade-mask-rcnn_moganet-{}_fpn_giou-4conv1fc-ms-crop-3x_coco': CASCADE,
    'moganet-{}_sem-fpn_8xb4-80k_ade20k-512x512': SEM_FPN,
    'moganet-{}_upernet_8xb2-160k_ade20k-512x512': UPERNET,
    'td-hm_moganet-{}_8xb32-210e_coco-256x192': POSE,
    'td-hm_moganet-{}_8xb32-210e_coco-384x288': {**POSE, 'base': (1e-3, 0.4)},
}
SHORT = {'xtiny': 'xt', 'tiny': 't', 'small': 's', 'base': 'b', 'large': 'l', 'xlarge': 'xl'}
ROWS = [
    (pattern.format(SHORT[arch]), *settings) for pattern, archs in DENSE.items() for arch, settings in archs.items()]


def test_every_dense_row_is_in_the_table():
    assert sorted(find(name) for name, *_ in ROWS) == [leaf for leaf in BENCHMARKS if leaf not in CLASSIFICATION]


@pytest.mark.parametrize('name, lr, drop_path', ROWS)
def test_dense_rows(name, lr, drop_path):
    cfg = read(find(name))
    assert cfg.optim_wrapper.optimizer.lr == lr and cfg.model.backbone.drop_path_rate == drop_path
    assert cfg.optim_wrapper.get('clip_grad') is None
    if '3x' in name:
        by_epoch = rates(cfg, 36, by_epoch=True)
        assert [by_epoch[epoch] for epoch in (26, 27, 32, 33)] == pytest.approx([lr, lr / 10, lr / 10, lr / 100])
        warm_up = 1000 if 'giou' in name else 500
        by_step = rates(cfg, 1001, by_epoch=False)
        assert by_step[0] == pytest.approx(lr / 1000) and by_step[warm_up - 1] == pytest.approx(lr)
        assert by_step[warm_up - 2] < lr * (1 - 1e-4)


@pytest.mark.parametrize('leaf', [leaf for leaf in CLASSIFICATION if 'rsb' not in leaf and 'refined' not in leaf])
def test_timm_rows(leaf):
    cfg, arch = read(leaf), arch_of(leaf)
    drop_path, decay, mixup, magnitude, lowest, average = TIMM[arch]
    assert (cfg.model.backbone.drop_path_rate, cfg.optim_wrapper.optimizer.weight_decay) == (drop_path, decay)
    assert [(a.type, a.alpha) for a in cfg.model.train_cfg.augments] == [('Mixup', mixup), ('CutMix', 1.0)]
    chosen = [step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'RandomChoice'][1].transforms
    assert [choice[0].magnitude_level for choice in chosen] == [magnitude] * 2
    assert rates(cfg, 310, by_epoch=True)[-1] == pytest.approx(lowest, rel=1e-2)
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    assert 'SyncBuffersHook' in hooks and ('EMAHook' in hooks) == average
    if average:  # timm: decay 0.9999, of BN's statistics too
        assert hooks['EMAHook'].momentum == 1e-4 and hooks['EMAHook'].update_buffers
        HOOKS.build(dict(hooks['EMAHook']))
    side = 256 if '256px' in leaf else 224
    crops = [choice[0].scale for choice in cfg.train_dataloader.dataset.pipeline[1].transforms]
    assert crops == [side] * 2
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert [loader.dataset.pipeline[1].scale, loader.dataset.pipeline[2].crop_size] == [int(side / 0.9), side]


@pytest.mark.parametrize('arch, drop_path, decay', [('xtiny', 0.05, 0.03), ('tiny', 0.1, 0.04)])
def test_refined_rows(arch, drop_path, decay):
    leaf = find(f'moganet-{arch}_8xb128-refined')
    cfg = read(leaf)
    assert cfg.model.backbone.drop_path_rate == drop_path and cfg.model.backbone.gate_act_twice
    found = rates(cfg, 300, by_epoch=True)
    # An epoch has one step here: the warm-up of 20 ends with the rate that the cosine has then.
    assert found[0] == pytest.approx(2e-9, rel=1e-2) and max(found) < 2e-3 and found.index(max(found)) == 19
    assert found[-1] == pytest.approx(1e-6, rel=0.1)
    model = build_model(cfg, 'meta')
    values = decays(cfg, model)
    for name in ('backbone.norm1.weight', 'backbone.blocks1.0.layer_scale_1', 'backbone.blocks1.0.attn.sigma.scale',
                 'backbone.blocks1.0.mlp.fc1.bias', 'backbone.patch_embed1.projection.1.weight', 'head.fc.bias'):
        assert values[name] == 0, name
    assert values['backbone.blocks1.0.mlp.fc1.weight'] == values['head.fc.weight'] == decay
    assert HOOKS.build(dict(cfg.custom_hooks[0])).num_samples == 8192


RSB = {'xtiny': (0.05, 256), 'tiny': (0.1, 256), 'small': (0.1, 256), 'base': (0.2, 128), 'large': (0.4, 128)}


@pytest.mark.parametrize('arch', RSB)
def test_rsb_rows(arch):
    drop_path, batch = RSB[arch]
    cfg = read(find(f'moganet-{arch}_8xb{batch}-rsb-a3'))
    assert cfg.model.backbone.drop_path_rate == drop_path and cfg.model.backbone.gate_act_twice
    assert 8 * batch * cfg.optim_wrapper.get('accumulative_counts', 1) == 2048
    assert cfg.optim_wrapper.get('clip_grad') == (dict(max_norm=10.0) if arch == 'large' else None)
    assert cfg.model.head.loss == dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
    settings = cfg.optim_wrapper.optimizer
    assert (settings.type, settings.lr, settings.weight_decay) == ('Lamb', 6e-3, 0.02)
    pipeline = cfg.train_dataloader.dataset.pipeline
    (augment,) = (step for step in pipeline if step.type == 'RandAugment')
    assert augment.magnitude_level == 6 and not any(step.type == 'RandomErasing' for step in pipeline)


def test_pictures_of_the_classification_rows(tiny):
    for part, train_side, val_side in (('refined', 256, 256), ('moganet-tiny_8xb256-rsb-a3', 160, 224)):
        cfg = read(find(part if 'rsb' in part else 'moganet-tiny_8xb128-refined'))
        train = dataset(cfg, 'train', tiny / 'imagenet', **DIGITS)
        for index in range(8):  # each of the random choices
            assert train[index]['inputs'].shape == (3, train_side, train_side)
        val = dataset(cfg, 'val', tiny / 'imagenet', **DIGITS)
        assert val[0]['inputs'].shape == (3, val_side, val_side)


def test_grey_is_the_eyes():
    """The weights of ITU-R 601, as Pillow and torchvision have them; pictures come in the order blue, green, red."""
    import numpy as np

    cfg = read(find('moganet-tiny_8xb128-refined'))
    grey = TRANSFORMS.build(cfg.train_pipeline[3].transforms[0][0])
    result = grey(dict(img=np.array([[[0, 0, 255]]], dtype=np.uint8)))
    assert result['img'].tolist() == [[[76, 76, 76]]]


def test_pictures_of_several_sizes(tiny):
    """Short sides of 480 to 800, before which half of the pictures are cropped."""
    cfg = read(find('/mask-rcnn_moganet-t_fpn_ms-crop-3x'))
    train = dataset(cfg, 'train', tiny / 'coco', **DIGITS)
    torch.manual_seed(0)
    sides = {min(train[index % 8]['inputs'].shape[1:]) for index in range(40)}
    assert sides <= set(range(480, 801, 32)) and len(sides) > 5
    _, resized_cropped = cfg.train_pipeline[3].transforms
    assert [step.type for step in resized_cropped] == ['RandomChoiceResize', 'RandomCrop', 'RandomChoiceResize']


def test_figures_at_384x288(tiny):
    cfg = read(find('td-hm_moganet-xt_8xb32-210e_coco-384x288'))
    sample = dataset(cfg, 'train', tiny / 'coco_pose')[0]
    assert sample['inputs'].shape == (3, 384, 288) and sample['data_samples'].gt_fields.heatmaps.shape == (17, 96, 72)
    val = dataset(cfg, 'val', tiny / 'coco_pose', bbox_file=None)
    model = build_model(cfg).eval()
    batch = model.data_preprocessor(pseudo_collate([val[0]]), training=False)
    with torch.no_grad():
        (result,) = model(**batch, mode='predict')
    assert result.pred_instances.keypoints.shape == (1, 17, 2)
    assert cfg.model.head.decoder.sigma == 2


def test_cascade_decays_by_depth():
    cfg = read(find('cascade-mask-rcnn_moganet-b_fpn_giou'))
    model = build_model(cfg, 'meta')
    from mmengine.optim import build_optim_wrapper

    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rate = {names[id(p)]: group['lr'] for group in groups for p in group['params']}
    assert rate['backbone.patch_embed1.projection.0.weight'] == pytest.approx(1e-4 * 0.8**13)
    assert rate['backbone.blocks3.21.mlp.fc1.weight'] == pytest.approx(1e-4 * 0.8**2)
    assert rate['backbone.norm1.weight'] == rate['roi_head.bbox_head.0.fc_cls.weight'] == 1e-4


def test_cascade_heads():
    plain, giou = (build_model(read(find(f'cascade-mask-rcnn_moganet-s_fpn_{kind}')), 'meta').roi_head.bbox_head
                   for kind in ('ms-crop', 'giou'))
    for heads in (plain, giou):
        stds = [tuple(head.bbox_coder.stds) for head in heads]
        assert stds == [(0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067)]
    assert all(head.reg_class_agnostic and head.num_shared_convs == 0 for head in plain)
    assert all(not head.reg_class_agnostic and head.num_shared_convs == 4 for head in giou)
    assert all(type(head.loss_bbox).__name__ == 'GIoULoss' and head.loss_bbox.loss_weight == 10 for head in giou)
