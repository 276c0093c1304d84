"""The exported network in the place of the model's, under the Runner that evaluates everything."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moganet.deployment import load_exported, network_of
from moganet.engine.config_file import read_checked
from moganet.engine.hooks import backend as backend_hook
from moganet.engine.launch import TestOptions, finish, prepare_testing, start
from moganet.engine.model_build import build_checked

from ..deployment.nets import random_statistics
from ..e2e.tools import LEAVES

# As wide as the leaves' XT, so that their necks and heads fit, and one block a stage.
_SHALLOW = {'_delete_': True, 'embed_dims': [32, 64, 96, 192], 'depths': [1, 1, 1, 1], 'ffn_ratios': [2, 2, 2, 2]}


def _options(name: str, **more: Any) -> TestOptions:
    """Return the options of a test of a leaf whose backbone is shallow, from a checkpoint of random weights."""
    leaf = LEAVES[name]
    words = dict(word.split('=', 1) for word in leaf.options)
    kept = {key: eval(value) for key, value in words.items() if key.startswith(('test_dataloader', 'model.test_cfg'))}
    if name == 'mask-rcnn':  # random weights are sure that all is background
        kept |= {'model.test_cfg.rcnn.score_thr': -1.0, 'model.test_cfg.rcnn.max_per_img': 5}
    changes = {**kept, 'model.backbone.arch': dict(_SHALLOW), 'model.backbone.gate_act_twice': False}
    file = Path(f'{name}.pth')
    if not file.exists():
        cfg, scope = read_checked(str(leaf.config), changes, ('model',), 'a test')
        torch.manual_seed(0)
        model: Any = build_checked(cfg, scope)
        model.init_weights()
        random_statistics(model)
        if name == 'mask-rcnn':
            _tame(model)
        torch.save({'state_dict': model.state_dict()}, file)
    return TestOptions(str(leaf.config), work_dir='run', cfg_options=changes, checkpoint=str(file), seed=0, **more)


def _tame(model: Any) -> None:
    """Give a detector's maps values of about one: of larger ones its first stage makes boxes without extent."""
    with torch.no_grad():
        for level, maps in zip(model.neck.fpn_convs, model.extract_feat(torch.randn(1, 3, 128, 128))):
            level.conv.weight /= maps.abs().max()


def _numbers(predictions: Any) -> Iterator[torch.Tensor]:
    """Yield every array of saved predictions that has numbers in it."""
    if isinstance(predictions, (torch.Tensor, np.ndarray)):
        if predictions.ndim and len(predictions):
            yield torch.as_tensor(predictions).double()
    elif isinstance(predictions, dict):
        for key in sorted(predictions):
            yield from _numbers(predictions[key])
    elif isinstance(predictions, (list, tuple)):
        for part in predictions:
            yield from _numbers(part)


def _saved(file: str) -> list[torch.Tensor]:
    with open(file, 'rb') as stream:
        predictions = pickle.load(stream)
    truth = ('gt_', 'ignored_')
    return list(_numbers([{key: one[key] for key in one if not key.startswith(truth)} for one in predictions]))


def _metrics(options: TestOptions) -> dict[str, float]:
    runner = start(prepare_testing(options))
    found = runner.test()
    finish()
    return {name: float(value) for name, value in found.items() if hasattr(value, '__float__')}


@pytest.mark.parametrize(
    ('name', 'backend'),
    [
        ('classification', 'torch-export'),
        ('sem-fpn', 'openvino'),
        pytest.param('upernet', 'onnx', marks=pytest.mark.slow),
        ('pose', 'onnx'),  # with its flip test
        pytest.param('internet', 'openvino', marks=pytest.mark.slow),
        pytest.param('retinanet', 'onnx', marks=pytest.mark.slow),
        ('mask-rcnn', 'openvino'),
    ],
)
def test_metrics_are_those_of_torch(name: str, backend: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _metrics(_options(name, out='torch.pkl'))
    served = []
    monkeypatch.setattr(backend_hook, 'load_exported', lambda path: served.append(load_exported(path)) or served[0])
    calls = []
    run = backend_hook._Served.forward
    monkeypatch.setattr(backend_hook._Served, 'forward', lambda self, x: calls.append(x.shape) or run(self, x))
    found = _metrics(_options(name, backend=backend, out='exported.pkl'))
    assert {key: f'{value:.4f}' for key, value in found.items()} == {
        key: f'{value:.4f}' for key, value in expected.items()
    }
    # Of random weights most metrics are zero: what they are computed from is the same, but for rounding.
    theirs, ours = _saved('torch.pkl'), _saved('exported.pkl')
    assert theirs and [each.shape for each in theirs] == [each.shape for each in ours]
    for one, other in zip(theirs, ours):
        assert (one - other).abs().max() <= 1e-3 * one.abs().max()
    # It was the exported network that was run, and of all that it could have.
    assert calls and served[0].metadata['part'] == ('maps' if name == 'mask-rcnn' else 'network')
    assert served[0].metadata['fused'] == 'True'


def test_augmentation_stays_the_toolboxs(workplace: Path) -> None:
    expected = _metrics(_options('classification', tta=True))
    assert _metrics(_options('classification', tta=True, backend='onnx')) == expected


def test_two_stages_end_before_their_heads(workplace: Path) -> None:
    plan = prepare_testing(_options('mask-rcnn', backend='onnx'))
    (note,) = [note for note in plan.notes if '--backend onnx' in note]
    assert 'the heads of MaskRCNN take more than maps: what is exported ends with its neck' in note


def test_what_excludes_what(workplace: Path) -> None:
    with pytest.raises(ValueError, match='--fused --backend onnx: what is exported is the fused form'):
        prepare_testing(_options('classification', fused=True, backend='onnx'))


def test_a_head_of_its_own_is_left_to_the_toolbox(workplace: Path) -> None:
    """A head that calls something else than forward() of the maps would be fed with what it does not take."""
    cfg, scope = read_checked(str(LEAVES['classification'].config), {}, ('model',), 'a test')
    model: Any = build_checked(cfg, scope).eval()
    assert network_of(model)[0].kind == 'network'
    kind = type(model.head)
    model.head.__class__ = type('Own', (kind,), {'predict': lambda self, *given: None})
    assert network_of(model)[0].kind == 'maps'
