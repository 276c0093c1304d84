"""What is published: the weights that were evaluated, and of ``meta`` what others need."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from moganet.checkpoints import open_checkpoint
from moganet.checkpoints.config_text import without_paths
from moganet.checkpoints.errors import CheckpointError
from moganet.checkpoints.formats import recognise
from moganet.checkpoints.publish import publish
from moganet.checkpoints.writer import save
from moganet.version import __version__

from . import writers
from .checks import same


@pytest.mark.parametrize('head', ['classifier', 'mask-rcnn', 'upernet', 'td-hm'])
def test_an_averaged_run_publishes_its_average(head: str) -> None:
    raw = writers.model('custom', head)
    ema = writers.averaged(raw)
    data = writers.mmengine(ema, raw, writers.our_config(), gate_act_twice=True)
    published, left_out = publish(recognise(data, 'epoch_12.pth'))
    assert set(published) == {'meta', 'state_dict'} and same(published['state_dict'], ema)
    meta = published['meta']
    assert meta['ema'] is True and meta['gate_act_twice'] is True and meta['converted_from'] == 'moganet, epoch_12.pth'
    assert meta['dataset_meta'] == {'classes': writers.CLASSES, 'palette': [(0, 0, 0)]}
    assert (meta['epoch'], meta['mmengine_version'], meta['moganet_version']) == (12, '0.10.7', __version__)
    assert meta['cfg'] == writers.our_config() and not {'seed', 'time', 'experiment_name'} & set(meta)
    told = {dropped.pattern: dropped for dropped in left_out}
    assert told['the raw weights'].number == len(raw)
    assert told['meta'].reason == 'of the training alone (experiment_name, seed, time)'
    again = recognise(published)
    assert (again.ema, again.gate_act_twice, again.alternative) == (True, True, None)


def test_the_copy_that_is_asked_for_is_published() -> None:
    raw = writers.model('custom')
    data = writers.openmixup(writers.averaged(raw), raw)
    published, left_out = publish(recognise(data, prefer='raw'))
    assert same(published['state_dict'], raw) and published['meta']['ema'] is False
    assert [dropped.pattern for dropped in left_out] == ['the moving average', 'meta']
    # A config of OpenMMLab 1.x describes no model of today.
    assert 'config' not in published['meta'] and published['meta']['openmixup_version'] == '0.2.7'


def test_a_backbone_alone_is_published_under_its_own_names() -> None:
    ours = writers.prefixed(writers.filled(writers.backbone('custom')), 'backbone.')
    published, _ = publish(recognise(ours), gate_act_twice=False)
    assert list(published['state_dict']) == list(writers.backbone('custom'))
    with pytest.raises(CheckpointError, match='nothing says whether its gate'):
        publish(recognise(ours))


@pytest.mark.parametrize(
    'given, kept',
    [
        ('/home/me/work_dirs/run', 'run'),
        ('/data/coco/', 'coco'),
        ('moganet:///home/me/epoch_3.pth', 'epoch_3.pth'),
        ('file:///home/me/a.pth', 'a.pth'),
        ('~/.cache/a.pth', 'a.pth'),
        ('C:\\me\\a.pth', 'a.pth'),
        ('\\\\host\\share\\a.pth', 'a.pth'),
        ('data/coco', 'data/coco'),
        ('moganet://moganet-tiny_in1k', 'moganet://moganet-tiny_in1k'),
        ('https://host/a.pth', 'https://host/a.pth'),
        ('s3://bucket/a', 's3://bucket/a'),
        ('/', '/'),
        ("l'école", "l'école"),
    ],
)
def test_of_an_absolute_path_the_last_part_stays(given: str, kept: str) -> None:
    text = f"é = 'ü'; work_dir = {given!r}  # ö\u2028\nhooks = [dict(a='é', b={given!r}, c=1)]\n"
    assert without_paths(text) == text.replace(repr(given), repr(kept))


@pytest.mark.parametrize('text', ["a = r'^/x', b'/x', f'/x/{1}', '\\d'\n", 'a = 1if 2else 3\n'])
def test_other_literals_stay_and_python_does_not_warn_of_them(text: str, recwarn: pytest.WarningsRecorder) -> None:
    """What a stranger's config looks like is nothing to print."""
    assert without_paths(text) == text
    recognise(writers.mmengine(writers.model('custom'), config=text))
    assert not recwarn


def test_a_config_that_is_no_python_is_not_published() -> None:
    data = writers.mmengine(writers.model('custom'), config='work_dir = "/home/me', gate_act_twice=False)
    published, left_out = publish(recognise(data))
    assert 'cfg' not in published['meta'] and 'cfg, ' in left_out[0].reason


def test_the_name_has_the_hash_of_the_file(tmp_path: Path) -> None:
    data = {'state_dict': {'a': torch.ones(2)}, 'meta': {}}
    for ending in ('.pth', '.safetensors'):
        path = save(data, tmp_path / f'b.c{ending}', with_hash=True)
        assert path.name == f'b.c-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}{ending}'
        assert save(data, tmp_path / f'b.c{ending}', with_hash=True) == path  # the same again
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize('palette', [[[1, 2, 3]], np.array([[1, 2, 3]], np.uint8)], ids=['list', 'array'])
def test_safetensors_keep_the_classes_and_shared_layers(tmp_path: Path, palette: Any) -> None:
    ours = writers.solid(writers.model('custom', 'retinanet'))
    ours['bbox_head.again.weight'] = ours['bbox_head.retina_cls.weight']
    meta = {'dataset_meta': {'classes': ('a', 'b'), 'palette': palette, 'sigmas': np.ones(2)}}
    data = writers.mmengine(ours, config=writers.our_config(), gate_act_twice=False, **meta)
    path = save(publish(recognise(data))[0], tmp_path / 'a.safetensors')
    found = open_checkpoint(path)
    assert found.weights.meta['dataset_meta'] == {'classes': ['a', 'b'], 'palette': [[1, 2, 3]]}
    assert found.for_mmengine()['meta']['dataset_meta']['classes'] == ['a', 'b']
    assert found.weights.gate_act_twice is False and found.weights.writer == 'moganet'
    state = found.weights.state_dict
    assert list(state) and all(torch.equal(value, state[name]) for name, value in ours.items())


def test_texts_of_safetensors_that_are_no_classes_stay_texts(tmp_path: Path) -> None:
    for number, text in enumerate(('coco', '[1]', '[' * 100_000, json.dumps('x'))):
        path = tmp_path / f'{number}.safetensors'
        save_file({'x': torch.ones(1)}, path, {'dataset_meta': text})
        assert open_checkpoint(path, foreign=True).data['meta']['dataset_meta'] == text
