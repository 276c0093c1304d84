"""The configs' datasets and pipelines on real files, and one step of training from them."""

import re

import pytest
import torch
from mmengine.dataset import pseudo_collate

from .leaves import TINY, build_model, dataset, find, read

ROOTS = {
    'classification': 'imagenet', 'detection': 'coco', 'segmentation': 'ade/ADEChallengeData2016', 'pose': 'coco_pose',
    'hands': 'interhand2.6m'}
DIGITS = dict(metainfo=dict(classes=('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')))


def task_of(leaf):
    """The tiny set that a leaf is trained on, by its task."""
    return 'hands' if 'interhand' in leaf else leaf.split('/')[0]


def load(leaf, split, tiny, **changes):
    """The dataset of a leaf, with the test's own copy of the tiny set below it."""
    cfg = read(leaf)
    root = tiny / ROOTS[task_of(leaf)]
    configured = cfg[f'{split}_dataloader'].dataset.data_root.rstrip('/')
    assert leaf not in TINY or configured == f'data/tiny/{root.relative_to(tiny)}'
    return cfg, dataset(cfg, split, root, **changes)


@pytest.mark.parametrize('leaf', TINY)
@pytest.mark.parametrize('split', ['train', 'val'])
def test_tiny_data_fits_the_config(leaf, split, tiny):
    cfg, data = load(leaf, split, tiny)
    assert len(data) >= 8
    sizes = {'classification': (64, 64), 'pose': (128, 96), 'hands': (96, 96)}
    height, width = sizes.get(task_of(leaf), (128, 128))
    for index in range(3):
        assert data[index]['inputs'].shape == (3, height, width)
    names = data.metainfo.get('classes', ())
    assert len(names) == {'segmentation': 11, 'pose': 0, 'hands': 0}.get(task_of(leaf), 10)


@pytest.mark.parametrize('leaf', TINY)
def test_one_training_step(leaf, tiny):
    """From files to a finite loss, a finite gradient for each parameter, and predictions of the right kind."""
    torch.manual_seed(0)
    cfg, data = load(leaf, 'train', tiny)
    model = build_model(cfg).train()
    batch = pseudo_collate([data[0], data[1]])
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    total.backward()
    # The stages after the last one that gives a map are not run, and learn nothing.
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    after = '|'.join(str(stage + 2) for stage in range(max(model.backbone.out_indices), 3))
    left_out = [name for name, _ in model.named_parameters() if name not in trained]
    assert all(after and re.match(rf'backbone\.(patch_embed|blocks|norm)({after})\.', name) for name in left_out)
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in trained.values())


@pytest.mark.parametrize('leaf', TINY)
def test_prediction(leaf, tiny):
    cfg, data = load(leaf, 'val', tiny)
    model = build_model(cfg).eval()
    batch = pseudo_collate([data[0]])
    with torch.no_grad():
        (result,) = model(**model.data_preprocessor(batch, training=False), mode='predict')
    task = task_of(leaf)
    if task == 'classification':
        assert result.pred_score.shape == (10,)
    elif task == 'detection':
        assert result.pred_instances.bboxes.shape[1] == 4
        assert ('masks' in result.pred_instances) == ('mask' in leaf)
    elif task == 'segmentation':
        assert result.seg_logits.data.shape == (11, 128, 128)
    elif task == 'hands':
        found = result.pred_instances
        assert found.keypoints.shape == (1, 42, 3) and found.hand_type.shape == (1, 2)
        assert found.rel_root_depth.shape == (1,)
    else:
        assert result.pred_instances.keypoints.shape == (1, 17, 2)


def test_imagenet_pipelines(tiny):
    """Crops of 224 after short sides of 248, from the benchmark's own pipeline."""
    leaf = find('moganet-tiny_8xb128_in1k.py')
    _, train = load(leaf, 'train', tiny, **DIGITS)
    assert {train[index]['inputs'].shape for index in range(6)} == {(3, 224, 224)}
    cfg, val = load(leaf, 'val', tiny, **DIGITS)
    assert val[0]['inputs'].shape == (3, 224, 224)
    assert cfg.test_pipeline[1].scale == int(224 / 0.9)


def test_coco_pipelines(tiny):
    """(1333, 800) without changing a picture's shape: a square becomes 800 by 800."""
    for part, split in (('mask-rcnn', 'train'), ('retinanet', 'train'), ('retinanet', 'val')):
        _, data = load(find(f'{part}_moganet-t_fpn_1x'), split, tiny, **DIGITS)
        assert data[0]['inputs'].shape == (3, 800, 800)


def test_ade20k_pipelines(tiny):
    """Crops of 512 in training; in tests sides that are multiples of 32, nothing padded, the truth as it was."""
    # The dataset class of the tiny leaves, since ADE20KDataset insists on its own 150 names.
    changes = dict(type='BaseSegDataset', reduce_zero_label=True)
    for part in ('moganet-t_sem-fpn', 'moganet-t_upernet'):
        cfg, train = load(find(part), 'train', tiny, **changes)
        preprocessed = build_model(cfg).data_preprocessor(pseudo_collate([train[0], train[1]]), training=True)
        assert preprocessed['inputs'].shape == (2, 3, 512, 512)
        _, val = load(find(part), 'val', tiny, **changes)
        assert val[0]['inputs'].shape == (3, 512, 512)
        truth = val[0]['data_samples'].gt_sem_seg.data
        # The files count from 1, and 0 is what ADE20K leaves unlabelled; the ground, 11 in them, is the last class.
        assert truth.shape == (1, 128, 128) and truth.max() == 10 and truth.min() >= 0


def test_ade20k_sides_are_rounded_up():
    """A photograph of 683 x 512 is tested at 704 x 512: the short side at 512, then the next multiples of 32."""
    import numpy as np
    from mmengine.registry import TRANSFORMS

    cfg = read(find('moganet-t_upernet'))
    result = dict(img=np.zeros((300, 400, 3), np.uint8), img_shape=(300, 400), seg_fields=[])
    for step in cfg.test_pipeline[1:3]:
        result = TRANSFORMS.build(step)(result)
    assert result['img'].shape == (512, 704, 3)


def test_keypoint_pipelines(tiny):
    leaf = find('moganet-t_8xb32-210e_coco-256x192')
    _, train = load(leaf, 'train', tiny)
    sample = train[0]
    assert sample['inputs'].shape == (3, 256, 192)
    assert sample['data_samples'].gt_fields.heatmaps.shape == (17, 64, 48)
    _, val = load(leaf, 'val', tiny, bbox_file=None)
    assert val[0]['inputs'].shape == (3, 256, 192)


def test_hand_pipelines(tiny):
    """256 x 256, heatmaps of 64 x 64 x 64 for 2 x 21 joints, finite losses, and a prediction with its mirror image."""
    leaf = find('internet_moganet-xt_4xb16')
    cfg, train = load(leaf, 'train', tiny)
    samples = [train[0], train[1]]
    assert {sample['inputs'].shape for sample in samples} == {(3, 256, 256)}
    assert samples[0]['data_samples'].gt_fields.heatmaps.shape == (21 * 2 * 64, 64, 64)
    model = build_model(cfg).train()
    losses = model(**model.data_preprocessor(pseudo_collate(samples), training=True), mode='loss')
    assert {'loss_kpt', 'loss_rel_root', 'loss_hand_type'} <= set(losses)
    assert all(torch.isfinite(losses[name]) for name in losses if name.startswith('loss'))
    _, val = load(leaf, 'val', tiny)
    batch = pseudo_collate([val[0]])
    model.eval().test_cfg['flip_test'] = True
    with torch.no_grad():
        (result,) = model(**model.data_preprocessor(batch, training=False), mode='predict')
    found = result.pred_instances
    assert found.keypoints.shape == (1, 42, 3) and set(found.hand_type.ravel().tolist()) <= {0, 1}
    # Pixels of the whole picture, and millimetres about the wrist.
    assert abs(found.keypoints[..., 2]).max() <= 200 and found.keypoints[..., :2].max() < 2 * 192
