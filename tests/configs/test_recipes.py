"""The benchmarks' configs do what the published recipes did: rates, decay, and what the toolboxes make of them."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS

from .leaves import build_model, decays, find, read


def rates(cfg, steps, by_epoch):
    """The learning rate in each of the first steps, from the config's own schedulers."""
    settings = cfg.optim_wrapper.optimizer
    optimizer = OptimWrapper(OPTIMIZERS.build(dict(type=settings.type, params=[torch.zeros(1)], lr=settings.lr)))
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler), default_args=dict(optimizer=optimizer, epoch_length=1))
        for scheduler in cfg.param_scheduler if scheduler.get('by_epoch', True) == by_epoch
    ]
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


def timm_cosine(epoch):
    """timm 0.6.12's CosineLRScheduler with warmup_prefix=False and 10 cooldown epochs, per epoch."""
    if epoch < 5:
        return 1e-5 + epoch * (1e-3 - 1e-5) / 5
    return 1e-6 + 0.5 * (1e-3 - 1e-6) * (1 + math.cos(math.pi * min(epoch, 300) / 300))


def test_imagenet_rates_are_timms():
    found = rates(read(find('moganet-tiny_8xb128_in1k.py')), 310, by_epoch=True)
    # The cosine already runs during the warm-up here, which lowers the rate by at most 0.07 %; the floor is reached
    # through products of ratios, so it is held to 1 % of itself.
    assert found[:300] == pytest.approx([timm_cosine(epoch) for epoch in range(300)], rel=1e-3, abs=1e-8)
    assert found[300:] == pytest.approx([1e-6] * 10, rel=1e-2)


def test_coco_rates():
    cfg = read(find('mask-rcnn_moganet-t_fpn_1x'))
    found = rates(cfg, 600, by_epoch=False)
    assert found[0] == pytest.approx(2e-7) and found[-1] == pytest.approx(2e-4)
    for leaf, peak in (('mask-rcnn_moganet-t_fpn_1x', 2e-4), ('retinanet_moganet-t', 1e-4)):
        by_epoch = rates(read(find(leaf)), 12, by_epoch=True)
        assert [by_epoch[epoch] for epoch in (0, 7, 8, 10, 11)] == pytest.approx(
            [peak, peak, peak / 10, peak / 10, peak / 100])


def test_upernet_rates():
    """mmseg 0.x: a decay counted from the first iteration, times a warm-up of 1,500 iterations from 1e-6."""
    found = rates(read(find('moganet-t_upernet')), 3000, by_epoch=False)
    for step, rate in enumerate(found):
        warm_up = min(1.0, 1e-6 + (1 - 1e-6) * step / 1500)
        # MMEngine's warm-up ends one step earlier than mmcv 1.x's: a 1,500th part of the peak.
        assert rate == pytest.approx(1e-4 * (1 - step / 160000) * warm_up, abs=1e-4 / 1499)


def test_sem_fpn_rates():
    found = rates(read(find('moganet-t_sem-fpn')), 1000, by_epoch=False)
    # MMEngine's decay reaches zero one step before `end`: an 80,000th part of the peak.
    assert found == pytest.approx([2e-4 * (1 - step / 80000) ** 0.9 for step in range(1000)], abs=2e-4 / 79999)


def test_pose_rates():
    cfg = read(find('moganet-t_8xb32-210e_coco-256x192'))
    assert rates(cfg, 600, by_epoch=False)[-1] == pytest.approx(1e-3)
    by_epoch = rates(cfg, 210, by_epoch=True)
    assert [by_epoch[epoch] for epoch in (169, 170, 199, 200)] == pytest.approx([1e-3, 1e-4, 1e-4, 1e-5])


@pytest.mark.parametrize('arch, drop_path', [('xt', 0.1), ('s', 0.2)])
def test_hands_are_trained_as_internet_is(arch, drop_path):
    """mmpose's recipe as it is, with the backbone of the 2D pose rows: their drop path, their ImageNet weights."""
    cfg = read(find(f'internet_moganet-{arch}_4xb16'))
    pose = read(find(f'td-hm_moganet-{arch}_8xb32-210e_coco-256x192'))
    assert (cfg.optim_wrapper.optimizer.type, cfg.optim_wrapper.optimizer.lr) == ('Adam', 2e-4)
    by_epoch = rates(cfg, 20, by_epoch=True)
    assert [by_epoch[epoch] for epoch in (0, 14, 15, 16, 17)] == pytest.approx([2e-4, 2e-4, 2e-5, 2e-5, 2e-6])
    assert cfg.model.backbone == pose.model.backbone and cfg.model.backbone.drop_path_rate == drop_path
    assert cfg.model.head.type == 'InternetHead' and cfg.model.test_cfg == dict(flip_test=False)


@pytest.mark.parametrize('leaf, decay', [('moganet-xtiny_8xb128_in1k.py', 0.03), ('moganet-tiny_8xb128_in1k.py', 0.04)])
def test_imagenet_decay_is_timms_rule(leaf, decay):
    """Tensors of one axis are spared; layer scales and decompositions' scales, of four axes, are not."""
    cfg = read(find(leaf))
    model = build_model(cfg)
    found = decays(cfg, model)
    for name, parameter in model.named_parameters():
        assert found[name] == (0 if parameter.ndim <= 1 else decay), name
    assert found['backbone.blocks1.0.layer_scale_1'] == found['backbone.blocks1.0.attn.sigma.scale'] == decay


@pytest.mark.parametrize(
    'leaf, decay',
    [('retinanet_moganet-t', 0.05), ('mask-rcnn_moganet-t_fpn_1x', 0.05), ('moganet-t_upernet', 0.01)])
def test_dense_decay_goes_by_name(leaf, decay):
    """Spared: names with `norm` or `scale`. Not spared: biases of convolutions, the stem's norms, the heads' norms."""
    cfg = read(find(leaf))
    found = decays(cfg, build_model(cfg))
    for name, value in found.items():
        assert value == (0 if 'norm' in name or 'scale' in name else decay), name
    backbone = {name.removeprefix('backbone.'): value for name, value in found.items() if name.startswith('backbone.')}
    for name in ('norm1.weight', 'norm4.bias', 'patch_embed2.norm.weight', 'blocks1.0.norm1.bias',
                 'blocks1.0.layer_scale_2', 'blocks3.1.mlp.sigma.scale'):
        assert backbone[name] == 0, name
    for name in ('patch_embed1.projection.1.weight', 'patch_embed1.projection.4.bias', 'blocks1.0.attn.proj_1.bias',
                 'blocks1.0.mlp.fc1.weight'):
        assert backbone[name] == decay, name
    assert all(value == decay for name, value in found.items() if not name.startswith('backbone.'))


@pytest.mark.parametrize('leaf, decay', [('moganet-t_sem-fpn', 1e-4), ('moganet-t_8xb32-210e_coco-256x192', 0)])
def test_decay_without_exceptions(leaf, decay):
    cfg = read(find(leaf))
    assert set(decays(cfg, build_model(cfg)).values()) == {decay}


def test_imagenet_augmentation():
    """rand-m7-mstd0.5-inc1, erasing 0.25, crops of 8 % to all, bilinear or bicubic with equal odds."""
    from mmengine.registry import TRANSFORMS

    cfg = read(find('moganet-tiny_8xb128_in1k.py'))
    crops, randoms = (TRANSFORMS.build(step) for step in cfg.train_pipeline if step.type == 'RandomChoice')
    assert crops.prob is None and randoms.prob is None
    crop = [choice.transforms[0] for choice in crops.transforms]
    assert [(c.scale, c.crop_ratio_range, c.aspect_ratio_range, c.interpolation) for c in crop] == [
        ((224, 224), (0.08, 1.0), (3 / 4, 4 / 3), kind) for kind in ('bilinear', 'bicubic')]
    chosen = [choice.transforms[0] for choice in randoms.transforms]
    for c in chosen:
        assert (c.num_policies, c.magnitude_level, c.magnitude_std, c.total_level) == (2, 7, 0.5, 10)
    assert [c.hparams['interpolation'] for c in chosen] == ['bilinear', 'bicubic']
    assert all(len(c.policies) == 15 and c.hparams['pad_val'] == [104, 116, 124] for c in chosen)
    (erase,) = (TRANSFORMS.build(step) for step in cfg.train_pipeline if step.type == 'RandomErasing')
    assert (erase.erase_prob, erase.mode, erase.min_area_ratio, erase.max_area_ratio) == (0.25, 'rand', 0.02, 1 / 3)
    assert (list(erase.fill_color), list(erase.fill_std)) == ([103.53, 116.28, 123.675], [57.375, 57.12, 58.395])


def test_imagenet_processes_draw_for_themselves():
    randomness = read(find('moganet-tiny_8xb128_in1k.py')).randomness
    assert randomness.seed == 42 and randomness.diff_rank_seed is True


def test_imagenet_head_starts_small():
    torch.manual_seed(0)
    model = build_model(read(find('moganet-tiny_8xb128_in1k.py')))
    model.init_weights()
    weight = model.head.fc.weight
    # 256,000 draws: the sample's deviation is within 1 % of 0.02.
    assert weight.std().item() == pytest.approx(0.02, rel=0.01) and not model.head.fc.bias.any()


def test_imagenet_targets():
    """Label smoothing as timm's: 0.1 spread over all classes, and mixing of every batch."""
    cfg = read(find('moganet-tiny_8xb128_in1k.py'))
    model = build_model(cfg)
    augments = model.data_preprocessor.batch_augments.augments
    assert [type(augment).__name__ for augment in augments] == ['Mixup', 'CutMix']
    assert [augment.alpha for augment in cfg.model.train_cfg.augments] == [0.1, 1.0]
    scores = torch.randn(2, 1000)
    target = torch.full((2, 1000), 0.1 / 1000)
    target[0, 3] += 0.9
    target[1, 7] += 0.9
    expected = -(target * scores.log_softmax(1)).sum(1).mean()
    assert model.head.loss_module(scores, torch.tensor([3, 7])).item() == pytest.approx(expected.item(), rel=1e-5)


def test_segmentation_norms():
    """The authors' backbone kept plain BN whatever the config said; the heads had SyncBN."""
    for leaf in ('moganet-t_upernet', 'moganet-t_sem-fpn'):
        cfg = read(find(leaf))
        kinds = {part: {type(m).__name__ for m in module.modules() if 'BatchNorm' in type(m).__name__}
                 for part, module in build_model(cfg).named_children()}
        assert kinds['backbone'] == {'BatchNorm2d'} and kinds['decode_head'] == {'SyncBatchNorm'}


def test_pose_settings():
    cfg = read(find('moganet-t_8xb32-210e_coco-256x192'))
    __import__('mmpose.datasets')
    from mmengine.registry import TRANSFORMS

    (transform,) = (TRANSFORMS.build(step) for step in cfg.train_pipeline if step.type == 'RandomBBoxTransform')
    assert (transform.scale_factor, transform.rotate_factor) == ((0.5, 1.5), 80)
    assert (transform.shift_factor, transform.shift_prob, transform.rotate_prob) == (0.16, 0.3, 0.6)
    assert cfg.model.test_cfg == dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True)
    assert cfg.val_dataloader.dataset.bbox_file.endswith('COCO_val2017_detections_AP_H_56_person.json')


