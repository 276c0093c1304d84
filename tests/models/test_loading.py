"""The backbone's own load hook: filled as a whole or not at all, whoever loads."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor, nn

from moganet import MogaNet
from moganet.completeness import Source, compare, note_source, partial

NARROW = dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))


def _backbone(seed: int = 0, **changes: Any) -> MogaNet:
    torch.manual_seed(seed)
    return MogaNet(**{'arch': NARROW, **changes})


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def _frozen(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


class _Whole(nn.Module):
    """A model of a toolbox, as far as loading goes: a backbone and a head."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.backbone = _backbone(**changes)
        self.head = nn.Linear(8, 2)


@pytest.mark.parametrize('damage', ['missing', 'reshaped', 'renamed', 'empty'])
def test_less_than_the_whole_backbone_is_refused_and_changes_nothing(damage: str, tmp_path: Path) -> None:
    weights = _Whole(seed=1).state_dict()
    name = 'backbone.blocks3.0.mlp.fc2.weight'
    if damage == 'missing':
        del weights[name]
    elif damage == 'reshaped':
        weights[name] = weights[name][:4]
    elif damage == 'renamed':
        weights = OrderedDict((key.replace('backbone.', 'model.'), value) for key, value in weights.items())
    else:
        weights = OrderedDict(weight=torch.zeros(1))
    torch.save({'state_dict': weights}, tmp_path / 'file.pth')
    model = _Whole()
    before = _frozen(model)
    told = {
        'missing': r'1 of \d+ is missing \(blocks3.0: 1\).*another variant.*have another prefix',
        'reshaped': r'1 has another shape \(blocks3.0.mlp.fc2.weight: \(4, 16, 1, 1\) in the file, \(8, 16, 1, 1\)',
        'renamed': r'are missing .*another prefix',
        'empty': r"are missing .*no MogaNet's",
    }[damage]
    with pytest.raises(ValueError, match=told):
        load_checkpoint(model, str(tmp_path / 'file.pth'), strict=False)
    with pytest.raises(ValueError, match=told):
        model.load_state_dict(weights, strict=False)
    assert _same(model.state_dict(), before)


@pytest.mark.parametrize('prefix', ['net.', 'backbone.'])
def test_a_prefix_that_is_seen_is_named(prefix: str) -> None:
    weights = {name.replace('backbone.', prefix): value for name, value in _Whole().state_dict().items()}
    with pytest.raises(ValueError, match=f"names begin with '{prefix}' here: give init_cfg's prefix='{prefix}'"):
        _backbone().load_state_dict(weights, strict=False)


def test_part_of_a_backbone_is_filled_when_asked_for() -> None:
    weights = _backbone(1).state_dict()
    del weights['norm4.weight']
    model = _backbone()
    with partial():
        assert model.load_state_dict(weights, strict=False).missing_keys == ['norm4.weight']
    assert torch.equal(model.norm1.weight, weights['norm1.weight'])
    with pytest.raises(ValueError, match='missing'):
        model.load_state_dict(weights, strict=False)


def test_old_torch_saved_no_batch_counts() -> None:
    weights = {name: v for name, v in _backbone(1).state_dict().items() if not name.endswith('num_batches_tracked')}
    model = _backbone()
    model.load_state_dict(weights, strict=False)
    assert torch.equal(model.patch_embed1.projection[0].weight, weights['patch_embed1.projection.0.weight'])


def test_the_gates_mode_is_saved_with_the_weights() -> None:
    twice = _Whole(seed=1, gate_act_twice=True)
    buffer = io.BytesIO()
    torch.save(copy.deepcopy(twice.state_dict()), buffer)
    buffer.seek(0)
    weights = torch.load(buffer, weights_only=True)
    assert list(weights) == list(_Whole().state_dict())  # beside the weights, not among them
    model = _Whole()
    before = _frozen(model)
    with pytest.raises(ValueError, match='activated twice.*has gate_act_twice=False.*set .*gate_act_twice=True'):
        model.load_state_dict(weights)
    assert _same(model.state_dict(), before)
    _Whole(gate_act_twice=True).load_state_dict(weights)
    with pytest.raises(ValueError, match='activated once.*set model.backbone.gate_act_twice=False'):
        _Whole(gate_act_twice=True).load_state_dict(_Whole().state_dict())


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_what_a_tensor_tells_of_its_file_survives_mmengines_ways(
    prefix: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MMEngine's Pretrained cuts a prefix off and drops the state dict's own notes."""
    from mmengine.runner import checkpoint

    weights = OrderedDict((name, value.clone()) for name, value in _Whole(seed=1).state_dict().items())
    for value in weights.values():
        note_source(value, Source('given.pth', True))
    # Looked for by this name in a module where MMEngine finds it.
    monkeypatch.setattr(checkpoint, '_load_checkpoint', lambda *_, **__: {'state_dict': OrderedDict(weights)})
    init_cfg = dict(type='Pretrained', checkpoint='given.pth', **({'prefix': prefix} if prefix else {}))
    with pytest.raises(ValueError, match='given.pth: .*twice'):
        _backbone(init_cfg=init_cfg).init_weights()
    model = _backbone(init_cfg=init_cfg, gate_act_twice=True)
    model.init_weights()
    assert torch.equal(model.norm2.weight, weights['backbone.norm2.weight'])
    stem = 'patch_embed1.projection.0.weight'
    assert torch.equal(model.state_dict()[stem], weights[f'backbone.{stem}'])


def test_names_and_shapes_are_compared() -> None:
    own = {'a.weight': torch.zeros(2), 'a.num_batches_tracked': torch.zeros(()), 'b.c.weight': torch.zeros(3)}
    fit = compare(own, {'a.weight': torch.zeros(4), 'z': torch.zeros(1)})
    assert (fit.missing, fit.unexpected, fit.reshaped) == (('b.c.weight',), ('z',), (('a.weight', (4,), (2,)),))
    assert not fit.complete and fit.expected == 2 and fit.filled == 0
    assert fit.describe() == (
        '1 of 2 is missing (b.c: 1) and 1 has another shape (a.weight: (4,) in the file, (2,) in the model)'
    )
    assert compare(own, {**own, 'more': torch.zeros(1)}).complete
