"""The fused form is the same function, and refuses to be what it is not."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from moganet import MogaNet
from moganet.models.backbones import VARIANTS
from moganet.models.classifier import MogaNetClassifier
from moganet.models.fused import FusedMogaNet, fuse
from moganet.models.layers import fused_block

from .reference import filled_state, recorded, reference_input

SMALL: dict[str, Any] = {'embed_dims': [8, 16, 16, 24], 'depths': [1, 2, 2, 1], 'ffn_ratios': [3, 2, 2.5, 2]}
# Of the root mean square of a map. In float32 it is as far from the exact values as the plain form is: sums of hundreds
# of products are taken in another order, through up to 58 blocks.
DOUBLE, SINGLE = 1e-12, 3e-5
SIZES = [(31, 33), (97, 161), (1, 1)]


def filled(arch: Any = SMALL, **options: Any) -> MogaNet:
    """A backbone with the fixtures' weights, whose scales hide nothing, and statistics of a batch.

    With other statistics the gates' products, and what is rounded, grow from block to block.
    """
    torch.manual_seed(0)
    model = MogaNet(arch, **options)
    model.load_state_dict(filled_state([(name, value.shape) for name, value in model.state_dict().items()]))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, model.patch_embed1.projection[0].in_channels, 64, 64))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


@torch.no_grad()
def error(model: nn.Module, other: nn.Module, x: Tensor) -> float:
    """Largest deviation of the maps of one model from those of another, over the map's root mean square."""
    ours, theirs = other(x), model(x)
    assert [a.shape for a in ours] == [b.shape for b in theirs]
    return max(float((a - b).abs().max() / b.double().square().mean().sqrt()) for a, b in zip(ours, theirs))


EACH = [(arch, twice) for arch in VARIANTS for twice in (False, True)]


@pytest.mark.parametrize(
    ('arch', 'twice'),
    [pytest.param(*each, marks=pytest.mark.slow) if each == ('xlarge', True) else each for each in EACH],
)
def test_every_variant_is_the_same_function(arch: str, twice: bool) -> None:
    model = filled(arch, gate_act_twice=twice)
    fused = fuse(model)
    sizes = SIZES if arch in ('xtiny', 'tiny') else SIZES[:1]
    for size in sizes:
        assert error(model, fused, torch.randn(2, 3, *size)) < SINGLE
    model.double()
    fused = fuse(model)
    for size in sizes:
        assert error(model, fused, torch.randn(2, 3, *size, dtype=torch.double)) < DOUBLE


@torch.no_grad()
def test_float32_is_as_near_to_the_exact_values_as_the_plain_form_is() -> None:
    model = filled('tiny')
    x = torch.randn(2, 3, 97, 161)
    exact = copy.deepcopy(model).double()(x.double())
    for ours, theirs, true in zip(fuse(model)(x), model(x), exact):
        # The mean deviation of each is the luck of its rounding, within tens of per cent.
        assert (ours - true).square().mean() < 2 * (theirs - true).square().mean()


def test_the_published_logits() -> None:
    listing, arrays = recorded()
    model = MogaNetClassifier('tiny', gate_act_twice=False)
    state = filled_state(listing['state_dict'], arrays['calib'])
    head = {'head.weight': 'head.fc.weight', 'head.bias': 'head.fc.bias'}
    model.load_state_dict({head.get(name, f'backbone.{name}'): value for name, value in state.items()})
    with torch.no_grad():
        logits = fuse(model.eval())(reference_input(224, 224))
    expected = torch.from_numpy(arrays['logits_224'])
    assert (logits - expected).abs().max() < SINGLE * expected.square().mean().sqrt()


@pytest.mark.parametrize(
    'options',
    [
        {'arch': {**SMALL, 'attn_channel_split': (1, 1, 2), 'attn_dw_dilation': (2, 1, 4)}},
        {'arch': {**SMALL, 'attn_final_dilation': False}},
        {'act_cfg': {'type': 'GELU', 'approximate': 'tanh'}},
        {'act_cfg': {'type': 'ReLU'}},
        {'in_channels': 5, 'out_indices': (1, 3), 'drop_rate': 0.3, 'drop_path_rate': 0.5, 'frozen_stages': 1},
        {'norm_cfg': {'type': 'BN', 'eps': 0.1, 'affine': False}},
        {'gate_fp32': True},
    ],
    ids=['orders', 'last dilation', 'tanh', 'relu', 'options', 'norm', 'gate_fp32'],
)
def test_options(options: dict[str, Any]) -> None:
    model = filled(**{'arch': SMALL, **options}).double()
    fused = fuse(model)
    assert isinstance(fused, FusedMogaNet) and fused.out_channels == model.out_channels
    x = torch.randn(3, options.get('in_channels', 3), 45, 70, dtype=torch.double)
    assert error(model, fused, x) < DOUBLE
    model.float()
    assert error(model, fuse(model), x.float()) < SINGLE  # which has operators of its own


def test_stages_on_demand_and_stages_that_are_gone() -> None:
    model = filled(out_indices=3).double()
    x = torch.randn(1, 3, 40, 40, dtype=torch.double)
    with torch.no_grad():
        for ours, theirs in zip(fuse(model).forward_stages(x, (0, 2)), model.forward_stages(x, (0, 2))):
            assert (ours - theirs).abs().max() < DOUBLE * theirs.abs().max()
    model.keep_stages((0, 1))
    assert error(model, fuse(model), x) < DOUBLE


@pytest.mark.parametrize(('value', 'gate_fp32'), [(0.0, False), (1e-9, True), (1e9, False)])
def test_factors_that_cannot_be_carried_along(value: float, gate_fp32: bool) -> None:
    """Of what a block keeps of its input: 0 cannot be divided by, and half precision holds no such scales."""
    model = filled(gate_fp32=gate_fp32).double()
    block = model.blocks3[0]
    with torch.no_grad():
        norm = fused_block.affine_of(block.norm1)
        block.layer_scale_1[0, 3] = (value - 1) / norm.scale[3]
    fused = fuse(model)
    assert fused.blocks3[0].aggregation.rescale is not None and fused.blocks2[0].aggregation.rescale is None
    assert error(model, fused, torch.randn(2, 3, 64, 64, dtype=torch.double)) < DOUBLE


def test_a_stage_norm_that_lets_nothing_through() -> None:
    model = filled().double()
    with torch.no_grad():
        model.norm2.weight[1] = 0
    assert error(model, fuse(model), torch.randn(2, 3, 64, 64, dtype=torch.double)) < DOUBLE


@pytest.mark.parametrize(
    ('rows', 'parts'), [(32, [(2, 16), (2, 16), (1, 16)]), (11, [(1, 11), (1, 5)] * 5), (1, [(1, 8), (1, 8)] * 5)]
)
def test_large_maps_are_worked_on_in_parts(
    rows: int, parts: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first stage's five maps of 16 x 16: whole samples, or rows of them, eight at least."""
    monkeypatch.setattr(fused_block, '_HIDDEN_BYTES', rows * 24 * 16 * 4)
    fused, seen = fuse(filled()), []
    fused.blocks1[0].ffn.act.register_forward_hook(lambda module, given, out: seen.append((len(out), out.shape[2])))
    assert error(filled(), fused, torch.randn(5, 3, 64, 64)) < SINGLE and seen == parts


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.double])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_maps_have_the_layout_of_the_pictures(layout: torch.memory_format, dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 64, 64, dtype=dtype).to(memory_format=layout)
    with torch.no_grad():
        assert all(out.is_contiguous(memory_format=layout) for out in fuse(filled().to(dtype))(x))


@pytest.mark.parametrize('gate_fp32', [False, True])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=['bfloat16', 'float16'])
def test_half_precision(dtype: torch.dtype, gate_fp32: bool) -> None:
    exact = filled(gate_fp32=gate_fp32).double()
    model = copy.deepcopy(exact).to(dtype)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, plain = exact(x.double()), model(x.to(dtype))
        for fused in (fuse(exact).to(dtype), fuse(model)):
            for ours, theirs, true in zip(fused(x.to(dtype)), plain, expected):
                assert ours.dtype is dtype
                # Rounding, which the plain form has as well.
                assert (ours - true).square().mean() < 2 * (theirs - true).square().mean()


def test_autocast() -> None:
    model = filled()
    x = torch.randn(2, 3, 64, 64)
    fused = fuse(model)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        for ours, theirs in zip(fused(x), model(x)):
            assert ours.dtype is theirs.dtype
            assert (ours - theirs).float().square().mean() < 1e-3 * theirs.float().square().mean()


def test_gradients_pass_to_the_pictures() -> None:
    model = filled().double()
    x = torch.randn(2, 3, 64, 64, dtype=torch.double, requires_grad=True)
    ours, theirs = (torch.autograd.grad(each(x)[-1].square().sum(), x)[0] for each in (fuse(model), model))
    assert (ours - theirs).abs().max() < DOUBLE * theirs.abs().max()
    assert torch.autograd.grad(fuse(model.float())(x.float())[-1].sum(), x)[0].isfinite().all()


def test_the_model_that_is_given_stays_as_it_is() -> None:
    model = nn.Sequential(filled().double(), nn.Identity())  # of which no conversion makes a copy
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fused = fuse(model)
    assert isinstance(fused[0], FusedMogaNet) and isinstance(model[0], MogaNet)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    theirs = {value.data_ptr() for value in model.state_dict().values()}
    assert not theirs & {value.data_ptr() for value in fused.state_dict().values()}


def test_copies_pickles_and_weights() -> None:
    fused = fuse(filled())
    x = torch.randn(1, 3, 64, 64)
    file = io.BytesIO()
    torch.save(fused.state_dict(), file)
    file.seek(0)
    other = fuse(filled())
    with torch.no_grad():
        other.patch_embed2.weight.zero_()
    other.load_state_dict(torch.load(file))
    for same in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), other):
        assert error(fused, same, x) == 0


def test_a_block_leaves_its_input_as_it_is() -> None:
    x = torch.randn(2, 8, 16, 16).to(memory_format=torch.channels_last)
    given = x.clone()
    with torch.no_grad():
        fuse(filled()).blocks1[0](x)
    assert torch.equal(x, given)


def test_traced_and_exported_with_a_dynamic_batch() -> None:
    fused = fuse(filled())
    x = torch.randn(2, 3, 64, 64)
    assert error(fused, torch.jit.trace(fused, x), torch.randn(3, 3, 64, 64)) < SINGLE
    batch = torch.export.Dim('batch', min=1)
    exported = torch.export.export(fused, (x,), dynamic_shapes=({0: batch},)).module()
    for samples in (1, 3):
        assert error(fused, exported, torch.randn(samples, 3, 64, 64)) < SINGLE


def _replace(model: MogaNet) -> None:
    model.blocks2[1].mlp.fc2 = nn.Linear(2, 2).eval()


def _hook(model: MogaNet) -> None:
    model.blocks1[0].attn.register_forward_hook(lambda *given: None)


def _train_one(model: MogaNet) -> None:
    model.norm3.train()


def _forget(model: MogaNet) -> None:
    model.blocks1[0].norm2 = nn.BatchNorm2d(8, track_running_stats=False).eval()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda model: model.train(), 'it is in training mode; call model.eval()'),
        (_train_one, 'its layer norm3 is in training mode'),
        (_replace, r'blocks2\.1\.mlp\.fc2 was replaced by Linear'),
        (_hook, r'blocks1\.0\.attn has a hook'),
        (_forget, r'blocks1\.0\.norm2 keeps no running statistics'),
    ],
)
def test_what_cannot_be_fused(change: Any, told: str) -> None:
    model = filled()
    change(model)
    with pytest.raises(ValueError, match=told):
        fuse(model)


def test_norms() -> None:
    with pytest.raises(ValueError, match=r'patch_embed1\.projection\.1 is GroupNorm, whose statistics'):
        fuse(MogaNet(SMALL, norm_cfg={'type': 'GN', 'num_groups': 2}).eval())
    synchronised = MogaNet(SMALL, norm_cfg={'type': 'SyncBN'}).eval()
    model = filled()
    synchronised.load_state_dict(model.state_dict())
    assert error(model, fuse(synchronised), torch.randn(1, 3, 40, 40)) < SINGLE


def test_models_without_a_moganet() -> None:
    with pytest.raises(ValueError, match='Linear has no MogaNet in it'):
        fuse(nn.Linear(2, 2))


def test_it_is_not_trained_and_takes_no_other_weights() -> None:
    model = nn.Sequential(filled())
    fused = fuse(model)
    with pytest.raises(ValueError, match='a fused MogaNet cannot be trained: its norms'):
        fused.train()
    assert not fused.eval()[0].training
    with pytest.raises(ValueError, match='takes no weights of another one'):
        fused.load_state_dict(model.state_dict(), strict=False)
