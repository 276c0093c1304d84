"""Data of a user's own by the command lines: the leaves that are made to be copied, and the page that walks through."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from moganet.checkpoints import open_checkpoint
from moganet.engine.cli import parse_train, test_parser
from moganet.engine.launch import prepare_training

from ..configs.leaves import OURS, build_model, dataset, find, read
from .tools import REPO, TOOLS, call, environment, script, test, train

TRAIN = script(TOOLS / 'train.py')
CUSTOM = {
    'classification': 'moganet-tiny_1xb64-30e_custom',
    'retinanet': 'retinanet_moganet-t_fpn_1xb2-1x_custom-coco',
    'cascade': 'cascade-rcnn_moganet-t_fpn_1xb2-1x_custom-coco',
    'segmentation': 'moganet-t_sem-fpn_1xb8-20k_custom-512x512',
}
CLASSES = ('drei', 'sieben', 'eins')  # of detection, in the order of the files
_COMMON = [
    *('model.backbone.init_cfg=None', 'default_hooks.logger.interval=1'),
    *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val', 'test')),
    *('train_dataloader.batch_size=2', 'train_dataloader.dataset.indices=2'),
    'train_cfg.val_begin=9',  # the test follows by its own command
    *(f'{part}_dataloader.dataset.indices=2' for part in ('val', 'test')),
]
_EPOCH = 'train_cfg.max_epochs=1'
_SMALL = [f'{part}_dataloader.dataset.pipeline.{step}.scale=(128,128)'
          for part, step in (('train', 2), ('val', 1), ('test', 1))]
LENGTHS = {
    'classification': [_EPOCH],
    'retinanet': [_EPOCH, *_SMALL, 'model.test_cfg.score_thr=0.0001'],
    'cascade': [
        *(_EPOCH, *_SMALL, 'model.test_cfg.rcnn.score_thr=0.0001', 'model.test_cfg.rpn.max_per_img=50'),
        'model.train_cfg.rpn_proposal.max_per_img=50',
        *(f'model.roi_head.bbox_head.{head}.fc_out_channels=32' for head in range(3)),  # a checkpoint of a tenth
    ],
    'segmentation': [
        *('train_cfg.max_iters=1', 'default_hooks.checkpoint.interval=1'),
        *('model.data_preprocessor.size=(64,64)', 'train_dataloader.dataset.pipeline.3.crop_size=(64,64)'),
        *_SMALL,
    ],
}
METRICS = {'classification': 'accuracy/top1', 'segmentation': 'mIoU'}


def _classification(tiny: Path, root: Path) -> tuple[str, ...]:
    """Bitmaps of three digits under names of their own; capitals come before small letters."""
    for split in ('train', 'val'):
        for name, digit in (('Acht', 'eight'), ('Null', 'zero'), ('drei', 'three')):
            (root / split / name).mkdir(parents=True)
            for picture in sorted((tiny / 'imagenet' / split / digit).iterdir()):
                Image.open(picture).save(root / split / name / f'{picture.stem}.bmp')
    return 'Acht', 'Null', 'drei'


def _detection(tiny: Path, root: Path) -> tuple[str, ...]:
    """PNG pictures, boxes alone, three classes whose ids have gaps and are in no order."""
    ids = {4: 70, 8: 5, 2: 1000}  # the digits 3, 7 and 1
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        content = json.loads((tiny / 'coco' / 'annotations' / f'instances_{split}2017.json').read_text())
        (root / split).mkdir()
        for image in content['images']:
            name = f'{image["id"]}.png'
            Image.open(tiny / 'coco' / f'{split}2017' / image['file_name']).save(root / split / name)
            image['file_name'] = name
        boxes = [box for box in content['annotations'] if box['category_id'] in ids]
        content['annotations'] = boxes
        for box in boxes:
            del box['segmentation']
            box['category_id'] = ids[box['category_id']]
        content['categories'] = [{'id': new, 'name': name} for name, new in zip(CLASSES, ids.values())]
        (root / 'annotations' / f'{split}.json').write_text(json.dumps(content))
    return CLASSES


def _segmentation(tiny: Path, root: Path) -> tuple[str, ...]:
    """Label maps that count from 0, with 255 where nothing is known."""
    for split, folder in (('train', 'training'), ('val', 'validation')):
        for kind in ('images', 'labels'):
            (root / kind / split).mkdir(parents=True)
        for picture in sorted((tiny / 'ade' / 'ADEChallengeData2016' / 'images' / folder).iterdir()):
            shutil.copy(picture, root / 'images' / split)
            labels = np.array(Image.open(str(picture).replace('images', 'annotations').replace('.jpg', '.png')))
            mine = np.full_like(labels, 255)
            mine[labels == 11] = 0
            mine[(labels >= 1) & (labels <= 6)] = 1
            mine[(labels >= 7) & (labels <= 9)] = 2
            Image.fromarray(mine).save(root / 'labels' / split / f'{picture.stem}.png')
    return 'ground', 'low digit', 'high digit'


MAKERS = {'classification': _classification, 'retinanet': _detection, 'cascade': _detection,
          'segmentation': _segmentation}


def _copy(name: str, workplace: Path) -> Path:
    """Copy a leaf as a user does, and change its two lines."""
    leaf = find(CUSTOM[name])
    root = workplace / 'own' / name
    classes = MAKERS[name](workplace / 'data' / 'tiny', root)
    text = (REPO / 'configs' / leaf).read_text(encoding='utf-8')
    text, changed = re.subn(r'^data_root = .*$', f'data_root = {str(root)!r}', text, flags=re.M)
    assert changed == 1
    text, changed = re.subn(r'^classes = .*$', f'classes = {classes!r}', text, flags=re.M)
    assert changed == 1
    _copy_configs(workplace)
    path = workplace / 'configs' / leaf.split('/')[0] / 'mine.py'
    path.write_text(text, encoding='utf-8')
    return path


def _copy_configs(workplace: Path) -> None:
    ignored = shutil.ignore_patterns('__pycache__', '*.md', '*.yml')
    shutil.copytree(REPO / 'configs', workplace / 'configs', ignore=ignored)


@pytest.mark.parametrize('name', CUSTOM)
def test_train_and_test(name: str, workplace: Path) -> None:
    config = _copy(name, workplace)
    options = [*_COMMON, *LENGTHS[name]]
    load = []
    if name == 'retinanet':  # goes on from a detector of 80 classes
        torch.manual_seed(3)
        given = build_model(read(find('retinanet_moganet-t_fpn_1x_coco'))).state_dict()
        torch.save({'state_dict': given}, 'coco.pth')
        load = ['load_from=coco.pth']
    done = train(config, '--work-dir', 'run', '--cfg-options', *options, *load)
    assert 'loss' in done.stdout
    last = Path((workplace / 'run' / 'last_checkpoint').read_text().strip())
    if name == 'retinanet':
        assert 'size mismatch for bbox_head.retina_cls.weight' in done.stdout + done.stderr
        found = open_checkpoint(last).data['state_dict']
        assert found['bbox_head.retina_cls.weight'].shape[0] == 9 * len(CLASSES)
        # A step of the warm-up moves a weight by 1e-8; a random start would differ by 0.1.
        stem = 'backbone.patch_embed1.projection.0.weight'
        assert torch.allclose(found[stem], given[stem], atol=1e-5)
    result = test(config, last, '--work-dir', 'run', '--cfg-options', *options).stdout.split('\nresult\n')[1]
    assert f'{METRICS.get(name, "coco/bbox_mAP")} ' in result


@pytest.mark.parametrize('name', CUSTOM)
def test_a_missing_root_is_told_with_its_key_and_its_page(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(TRAIN.main, REPO / 'configs' / find(CUSTOM[name])) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("error: train_dataloader.dataset.data_root='data/custom/")
    assert 'docs/custom_data.md' in line and (REPO / 'docs' / 'custom_data.md').is_file()


def test_what_the_page_says_of_labels(workplace: Path) -> None:
    """Boxes are numbered in the order of the file, whatever the order of the names; pixels by their values."""
    roots = {name: workplace / 'own' / name for name in ('retinanet', 'segmentation', 'classification')}
    for name, root in roots.items():
        MAKERS[name](workplace / 'data' / 'tiny', root)
    cfg = read(find(CUSTOM['retinanet']))
    truth = json.loads((roots['retinanet'] / 'annotations' / 'train.json').read_text())['annotations']
    wanted = sorted([70, 5, 1000].index(box['category_id']) for box in truth)
    for names in (CLASSES, CLASSES[::-1]):
        boxes = dataset(cfg, 'train', roots['retinanet'], metainfo={'classes': names})
        found = [box['bbox_label'] for index in range(len(boxes)) for box in boxes.get_data_info(index)['instances']]
        assert sorted(found) == wanted
    cfg = read(find(CUSTOM['segmentation']))
    pixels = dataset(cfg, 'train', roots['segmentation'])
    values = {int(v) for index in range(8) for v in pixels[index]['data_samples'].gt_sem_seg.data.unique()}
    assert values == {0, 1, 2, 255}
    cfg = read(find(CUSTOM['classification']))
    names = ('Acht', 'Null', 'drei')
    folders = dataset(cfg, 'val', roots['classification'], metainfo={'classes': names})
    samples = [folders.get_data_info(index) for index in range(len(folders))]
    assert {(Path(s['img_path']).parent.name, s['gt_label']) for s in samples} == set(zip(names, range(3)))
    with pytest.raises(AssertionError, match=r'\(3\).*\(2\)'):
        dataset(cfg, 'val', roots['classification'], metainfo={'classes': names[:2]})


def test_cascade_has_the_classes_in_every_head() -> None:
    heads = build_model(read(find(CUSTOM['cascade'])), 'meta').roi_head.bbox_head
    assert [head.num_classes for head in heads] == [2, 2, 2]
    assert [tuple(head.bbox_coder.stds)[0] for head in heads] == [0.1, 0.05, 0.033]


def test_custom_leaves_are_short() -> None:
    leaves = [leaf for leaf in OURS if '_custom' in leaf]
    assert sorted(leaves) == sorted(find(name) for name in CUSTOM.values())
    for leaf in leaves:
        body = (REPO / 'configs' / leaf).read_text(encoding='utf-8').partition('\n\n')[2]
        assert sum(bool(line.strip()) for line in body.splitlines()) < 20, leaf


def _commands(page: str) -> list[str]:
    text = (REPO / 'docs' / page).read_text(encoding='utf-8')
    blocks = re.findall(r'^```shell\n(.*?)^```', text, flags=re.M | re.S)
    return [line for block in blocks for line in re.sub(r' \\\n\s*', ' ', block).splitlines()]


def test_the_pages_commands(workplace: Path) -> None:
    """What prepares data and configs is run; each training is prepared to the point where it would start."""
    _copy_configs(workplace)
    (workplace / 'tools').symlink_to(TOOLS)
    starts = ('python tools/train.py', 'python tools/test.py')
    lines = _commands('custom_data.md')
    prepared = '\n'.join(line for line in lines if not line.startswith(starts))
    command = f'set -e; python() {{ {sys.executable} "$@"; }}\n{prepared}'
    env = environment(PYTHONPATH=str(REPO))
    done = subprocess.run(['bash', '-c', command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("('zero', 'one', 'two'") == 2
    trained = set()
    for line in lines:
        words = line.split()[2:]
        if line.startswith(starts[0]) and 'load_from=CHECKPOINT' not in words:
            plan = prepare_training(parse_train([*words, '--cfg-options', 'model.backbone.init_cfg=None']))
            trained.add(Path(plan.cfg.work_dir).name)
        elif line.startswith(starts):
            assert Path(words[0]).is_file()
            if line.startswith(starts[1]):
                assert Path(test_parser().parse_args(words).checkpoint).parent.name in trained
    assert len(trained) == len(CUSTOM)
