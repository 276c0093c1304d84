"""Names are freed of the prefixes of training tools, and what is no MogaNet is named."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any

import pytest
import torch

from moganet.checkpoints.errors import CheckpointError, NotACheckpointError
from moganet.checkpoints.formats import recognise

from . import writers
from .checks import same


@pytest.mark.parametrize('order', [*itertools.permutations(('module.', '_orig_mod.')), ('module.',), ('_orig_mod.',)])
@pytest.mark.parametrize('inner', ['', 'model.'])
def test_wrappers_in_any_order(order: tuple[str, ...], inner: str) -> None:
    ours = writers.model('custom')
    for names in (ours, writers.timm_names(ours)):
        wrapped = writers.prefixed(writers.prefixed(names, inner), ''.join(order))
        weights = recognise({'state_dict': wrapped})
        assert same(weights.state_dict, ours)
        assert weights.wrappers == (order + (inner,) if inner else order)


def test_wrappers_further_in() -> None:
    """Parts of a model may be wrapped on their own: a compiled backbone, a checkpointed block."""
    ours = writers.model('custom', 'retinanet')
    names = (
        name.replace('backbone.', 'backbone._orig_mod.').replace('blocks1.0.', 'blocks1.0._checkpoint_wrapped_module.')
        for name in ours
    )
    weights = recognise({'state_dict': OrderedDict(zip(names, ours.values()))})
    assert same(weights.state_dict, ours)
    assert set(weights.wrappers) == {'_orig_mod.', '_checkpoint_wrapped_module.'}


def test_outside_of_the_model_is_told() -> None:
    ours = writers.model('custom')
    state = {**writers.prefixed(ours, 'model.'), 'metric.total': torch.zeros(1)}
    weights = recognise({'state_dict': state})
    assert same(weights.state_dict, ours)
    assert weights.dropped == (('metric.total', 1, "outside of the model, which is below 'model.'"),)


def test_a_stranger_is_named() -> None:
    with pytest.raises(CheckpointError, match=r'r50\.pth holds no MogaNet: it looks like a ResNet; .* conv1\.weight'):
        recognise(writers.resnet(), 'r50.pth')
    vit = {'cls_token': torch.ones(1, 1, 8), 'blocks.0.attn.qkv.weight': torch.ones(24, 8)}
    with pytest.raises(CheckpointError, match='vision transformer; its 2 weights begin with cls_token'):
        recognise({'model': vit})
    with pytest.raises(CheckpointError, match=r'holds no MogaNet; its 1 weights begin with head\.weight'):
        recognise({'head.weight': torch.ones(1)})


@pytest.mark.parametrize('data', [{}, {'state_dict': {}}, {'state_dict': 3, 'meta': {}}, {'epoch': 1}])
def test_no_weights(data: dict[str, Any]) -> None:
    with pytest.raises(NotACheckpointError, match=r'x\.pth holds no weights'):
        recognise(data, 'x.pth')


def test_prefixes_that_do_not_make_sense() -> None:
    ours = writers.model('custom')
    with pytest.raises(CheckpointError, match=r"more than one MogaNet, below 'backbone\.' and 'teacher\.backbone\.'"):
        recognise({**ours, **writers.prefixed(ours, 'teacher.')})
    with pytest.raises(CheckpointError, match=r"holds a MogaNet below 'encoder\.backbone\.'"):
        recognise(writers.prefixed(ours, 'encoder.'))
    with pytest.raises(CheckpointError, match='are the same weight without the prefixes'):
        recognise({**ours, 'module.head.fc.bias': torch.ones(1000)})
    bare = writers.timm_names(ours)
    with pytest.raises(CheckpointError, match=r"holds 'head\.fc\.bias' under two names"):
        recognise({**bare, 'head.fc.bias': torch.ones(1000)})
    with pytest.raises(ValueError, match="prefer is 'both'"):
        recognise(ours, prefer='both')  # type: ignore[arg-type]
