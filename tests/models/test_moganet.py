"""The backbone's arguments, modes and errors."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from moganet import MogaNet
from moganet.models.backbones import VARIANTS
from moganet.models.layers.gated_aggregation import project_gated_fp32

SMALL = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 2, 1), ffn_ratios=(2, 2, 2, 2))


def small(**options: Any) -> MogaNet:
    torch.manual_seed(0)
    return MogaNet(SMALL, layer_scale_init_value=0.5, **options)


def image(batch: int = 2, side: int = 64, channels: int = 3) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(1))


def test_registered_once_in_the_root_registry() -> None:
    assert MODELS.get('MogaNet') is MogaNet
    model = MODELS.build(dict(type='MogaNet', arch='xt'))
    assert model.variant == VARIANTS['xtiny']


@pytest.mark.parametrize('alias', ['xt', 'x-tiny', 'XT', 'xtiny', 'XTiny'])
def test_aliases(alias: str) -> None:
    assert MogaNet(alias).variant is VARIANTS['xtiny']


def test_variants_are_frozen() -> None:
    with pytest.raises(TypeError):
        VARIANTS['tiny'] = VARIANTS['small']  # type: ignore[index]
    with pytest.raises(AttributeError):
        VARIANTS['tiny'].depths = (1, 1, 1, 1)  # type: ignore[misc]


@pytest.mark.parametrize('side', [31, 33, 64])
def test_returns_a_tuple_of_maps_at_the_strides(side: int) -> None:
    outs = small()(image(side=side))
    assert isinstance(outs, tuple)
    sides = [-(-side // stride) for stride in (4, 8, 16, 32)]
    assert [tuple(out.shape) for out in outs] == [(2, c, s, s) for c, s in zip(SMALL['embed_dims'], sides)]


@pytest.mark.parametrize(('given', 'stages'), [((0, 2), (0, 2)), (3, (3,)), ((-1,), (3,)), ([1, -1], (1, 3))])
def test_out_indices_choose_the_same_maps(given: Any, stages: tuple[int, ...]) -> None:
    everything = small().eval()(image())
    chosen = small(out_indices=given).eval()(image())
    assert len(chosen) == len(stages)
    for out, stage in zip(chosen, stages):
        torch.testing.assert_close(out, everything[stage], rtol=0, atol=0)


def test_stages_after_the_last_output_are_not_run() -> None:
    model = small(out_indices=(0, 1))
    model.blocks4.register_forward_hook(lambda *_: pytest.fail('stage 4 was run'))
    model.blocks4[0].register_forward_hook(lambda *_: pytest.fail('stage 4 was run'))
    outs = model(image())
    assert len(outs) == 2
    assert set(model.state_dict()) == set(small().state_dict())
    outs[1].sum().backward()
    # Several processes would wait for a gradient that is asked for and never comes.
    for name, parameter in model.named_parameters():
        run = int(name.split('.')[0][-1]) <= 2
        assert parameter.requires_grad is run and (parameter.grad is not None) is run, name


def test_in_channels() -> None:
    assert small(in_channels=5)(image(channels=5))[0].shape[1] == 8


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    (dict(arch='huge'), "arch is 'huge'; it must be one of xtiny, tiny"),
    (dict(arch=None), 'arch is None; it must be a name or a dict'),
    (dict(arch=dict(SMALL, depths=(1.0, 1, 1, 1))), r"arch\['depths'\] is .* whole numbers"),
    (dict(arch=dict(depths=(1, 1, 1, 1))), 'missing: .*embed_dims.*ffn_ratios'),
    (dict(arch=dict(SMALL, dephts=(1, 1, 1, 1))), "unknown: .'dephts'"),
    (dict(arch=dict(SMALL, depths=(1, 1, 1))), r"arch\['depths'\] is \(1, 1, 1\); it must be 4"),
    (dict(arch=dict(SMALL, depths=(1, 0, 1, 1))), 'positive'),
    (dict(arch=dict(SMALL, embed_dims=(8, 16, 20, 32))), 'embed_dims 20 .* divisible by 8'),
    (dict(arch=dict(SMALL, attn_channel_split=(1, 1, 1))), 'embed_dims 8 .* 1:1:1: it must be divisible by 3'),
    (dict(arch=dict(SMALL, attn_channel_split=(0, 4, 4))), 'attn_channel_split .* three integers'),
    (dict(arch=dict(SMALL, attn_channel_split=8)), 'attn_channel_split is 8; .* three integers'),
    (dict(arch=dict(SMALL, attn_channel_split=(1.0, 3.0, 4.0))), 'three integers'),
    (dict(arch=dict(SMALL, attn_dw_dilation=(1, 2))), 'attn_dw_dilation .* three integers'),
    (dict(out_indices=(1.0,)), r'out_indices is \(1.0,\)'),
    (dict(out_indices=None), 'out_indices is None'),
    (dict(frozen_stages=None), 'frozen_stages is None'),
    (dict(out_indices=(0, 4)), r'out_indices is \(0, 4\); .* 0 to 3'),
    (dict(out_indices=(1, 1)), 'none of them twice'),
    (dict(out_indices=(3, -1)), 'none of them twice'),
    (dict(out_indices=(2, 1)), 'ascending'),
    (dict(out_indices=()), 'at least one'),
    (dict(drop_path_rate=-0.1), 'drop_path_rate is -0.1; it must be at least 0'),
    (dict(drop_path_rate=1.0), 'drop_path_rate is 1.0; .* below 1'),
    (dict(drop_rate=-1), 'drop_rate is -1'),
    (dict(frozen_stages=4), 'frozen_stages is 4; it must be -1'),
    (dict(in_channels=0), 'in_channels is 0'),
    (dict(in_channels=3.0), 'in_channels is 3.0; it must be a whole number'),
    (dict(norm_cfg=dict(type='LN')), "norm_cfg.*'LN'; MogaNet takes one of BN"),
    (dict(norm_cfg=dict(type='GN')), 'num_groups'),
    (dict(norm_cfg=dict(type='GN', num_groups=3)), '3 does not divide 4 channels'),
    (dict(act_cfg=dict(type='Gelu')), "act_cfg.*'Gelu'; MogaNet takes one of GELU"),
]


@pytest.mark.parametrize(('options', 'message'), BAD_ARGUMENTS, ids=[str(o) for o, _ in BAD_ARGUMENTS])
def test_bad_arguments_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MogaNet(**{'arch': SMALL, **options})


OLD_NAMES = [
    ('init_value', 1e-5, 'layer_scale_init_value'),
    ('attn_force_fp32', True, 'gate_act_twice'),
    ('stem_norm_cfg', dict(type='SyncBN'), 'norm_cfg'),
    ('conv_norm_cfg', dict(type='BN'), 'norm_cfg'),
    ('pretrained', 'x.pth', 'init_cfg'),
    ('fork_feat', True, 'out_indices'),
]


@pytest.mark.parametrize(('name', 'value', 'new'), OLD_NAMES)
def test_old_arguments_get_the_new_name(name: str, value: Any, new: str) -> None:
    with pytest.raises(ValueError, match=f"no argument '{name}'.*{new}"):
        MogaNet('tiny', **{name: value})
    with pytest.raises(ValueError, match=f"no argument '{name}'.*{new}"):
        MODELS.build({'type': 'MogaNet', name: value})


@pytest.mark.parametrize(
    ('left', 'told'),
    [
        (dict(depth=50), r"no argument 'depth'; .*backbone=dict\(_delete_=True, type='MogaNet'"),
        (dict(depth=50, num_stages=4, style='pytorch'), r"'depth' \(nor num_stages, style\); .*_delete_=True"),
        (dict(drop_path=0.1), "no argument 'drop_path'; did you mean 'drop_path_rate'"),
        (dict(pretrained='x.pth'), r'model=dict\(pretrained=None'),
    ],
)
def test_what_a_base_left_is_refused_with_the_key_that_removes_it(left: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MODELS.build(dict(type='MogaNet', arch='tiny', **left))


def test_channels_and_strides_are_told_by_class_and_model() -> None:
    assert MogaNet.out_channels == {name: variant.embed_dims for name, variant in VARIANTS.items()}
    assert MogaNet.out_channels['tiny'] == (32, 64, 128, 256) and MogaNet.out_strides == (4, 8, 16, 32)
    with pytest.raises(TypeError):
        MogaNet.out_channels['tiny'] = (1, 2, 3, 4)  # type: ignore[index]
    for indices in ((0, 1, 2, 3), (1, 3), -1):
        model = MogaNet(SMALL, in_channels=1, out_indices=indices).eval()
        maps = model(torch.zeros(1, 1, 64, 96))
        assert tuple(found.shape[1] for found in maps) == model.out_channels
        assert [(64 // stride, 96 // stride) for stride in model.out_strides] == [found.shape[2:] for found in maps]


def test_old_class_name_gets_the_new_name() -> None:
    with pytest.raises(ValueError, match="type='MogaNet' in place of type='MogaNet_feat'"):
        MODELS.build(dict(type='MogaNet_feat', arch='tiny'))


def test_unknown_argument_is_an_error_and_the_signature_is_visible() -> None:
    with pytest.raises(ValueError, match='drop_path'):
        MogaNet('tiny', drop_path=0.1)  # type: ignore[call-arg]
    parameters = inspect.signature(MogaNet).parameters
    assert 'gate_act_twice' in parameters
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters.values())


@pytest.mark.parametrize('stages', [-1, 0, 2, 3])
def test_frozen_stages_stay_frozen_and_in_eval_mode(stages: int) -> None:
    model = small(frozen_stages=stages)
    model.train()
    before = copy.deepcopy(model.state_dict())
    sum(out.sum() for out in model(image())).backward() if stages < 3 else model(image())
    for name, parameter in model.named_parameters():
        frozen = int(name.split('.')[0][-1]) <= stages + 1
        assert parameter.requires_grad is not frozen, name
        assert (parameter.grad is None) is frozen, name
    for name, buffer in model.named_buffers():
        frozen = int(name.split('.')[0][-1]) <= stages + 1
        assert torch.equal(buffer, before[name]) is frozen, name
    model.eval()
    model.train()
    assert not any(m.training for s in range(stages + 1) for m in getattr(model, f'blocks{s + 1}').modules())


def test_norm_eval_keeps_the_statistics_and_lets_the_weights_learn() -> None:
    model = small(norm_eval=True)
    model.train()
    before = copy.deepcopy(dict(model.named_buffers()))
    model(image())[-1].square().mean().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert model.norm4.weight.grad is not None
    assert model.blocks1.training


@pytest.mark.parametrize(
    'options',
    [{}, dict(norm_eval=True), dict(frozen_stages=1), dict(drop_rate=0.2), dict(norm_cfg=dict(type='SyncBN'))],
)
@pytest.mark.parametrize('checkpointing', [True, 'ffn'])
def test_checkpointing_changes_nothing_but_memory(
    options: dict[str, Any], checkpointing: bool | Literal['ffn']
) -> None:
    results = []
    for with_cp in (False, checkpointing):
        model = small(with_cp=with_cp, drop_path_rate=0.3, **options).train()
        torch.manual_seed(5)
        model(image(batch=4))[-1].square().mean().backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        results.append((gradients, dict(model.named_buffers())))
    (plain_gradients, plain_buffers), (gradients, buffers) = results
    assert gradients.keys() == plain_gradients.keys()
    for name in gradients:
        torch.testing.assert_close(gradients[name], plain_gradients[name])
    for name in buffers:  # a second update of the statistics would show here, num_batches_tracked above all
        torch.testing.assert_close(buffers[name], plain_buffers[name])


def test_checkpointing_recomputes(monkeypatch: pytest.MonkeyPatch) -> None:
    from moganet.models.layers import MogaBlock

    runs = []
    inner = MogaBlock._until_ffn
    monkeypatch.setattr(MogaBlock, '_until_ffn', lambda self, x: runs.append(1) or inner(self, x))
    model = small(with_cp=True).train()
    loss = model(image())[-1].square().mean()
    assert len(runs) == 5
    loss.backward()
    assert len(runs) == 10


@pytest.mark.parametrize(
    ('norm_cfg', 'kind'),
    [(dict(type='SyncBN'), nn.SyncBatchNorm), (dict(type='GN', num_groups=4), nn.GroupNorm), (None, nn.BatchNorm2d)],
)
def test_norm_cfg_reaches_every_norm(norm_cfg: dict[str, Any] | None, kind: type[nn.Module]) -> None:
    model = small(norm_cfg=norm_cfg).eval()
    norms = [m for m in model.modules() if isinstance(m, (_BatchNorm, nn.GroupNorm))]
    assert len(norms) == 2 + 3 + 4 + 2 * sum(SMALL['depths'])
    assert all(type(norm) is kind and norm.eps == 1e-5 for norm in norms)
    assert model(image())[-1].isfinite().all()


def test_norm_cfg_may_freeze_the_affine_weights() -> None:
    model = small(norm_cfg=dict(type='BN', requires_grad=False))
    assert not model.norm1.weight.requires_grad
    assert model.blocks1[0].attn.proj_1.weight.requires_grad


def test_drop_path_grows_linearly_and_acts_in_training_only() -> None:
    model = small(drop_path_rate=0.4)
    rates = [m.drop_path.rate for s in range(1, 5) for m in getattr(model, f'blocks{s}')]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    model.eval()
    torch.testing.assert_close(model(image())[-1], small().eval()(image())[-1], rtol=0, atol=0)
    path = model.blocks4[0].drop_path.train()
    torch.manual_seed(0)
    dropped = path(torch.ones(2000, 1, 1, 1)).flatten()
    assert sorted(set(dropped.tolist())) == pytest.approx([0.0, 1 / 0.6])
    # 5 standard deviations of the mean of 2000 draws.
    assert abs(float(dropped.mean()) - 1) < 5 * (0.4 / 0.6 / 2000) ** 0.5


def test_gate_fp32_is_about_precision_alone() -> None:
    plain, precise = small().eval(), small(gate_fp32=True).eval()
    torch.testing.assert_close(precise(image())[-1], plain(image())[-1])
    exact = plain(image())[-1]
    with torch.autocast('cpu', torch.bfloat16):
        low, high = (model(image())[-1].float() for model in (plain, precise))
    assert not torch.equal(low, high)
    assert high.isfinite().all()
    assert (high - exact).norm() < 0.1 * exact.norm()
    assert precise.bfloat16()(image().bfloat16())[-1].dtype is torch.bfloat16


def test_gate_fp32_holds_what_float16_does_not() -> None:
    gate, value = (torch.full((1, 4, 2, 2), 300.0, dtype=torch.float16) for _ in range(2))
    weight = torch.eye(4)[:, :, None, None]
    out = project_gated_fp32(gate, value, False, weight, None)
    assert out.dtype is torch.float32 and out.unique().tolist() == [90000.0]  # float16 ends at 65504
    # A model in half precision goes on in it.
    assert project_gated_fp32(gate / 300, value / 300, False, weight.half(), None).dtype is torch.float16


def test_gate_fp32_leaves_float64_alone() -> None:
    plain, precise = small().double().eval(), small(gate_fp32=True).double().eval()
    torch.testing.assert_close(precise(image().double())[-1], plain(image().double())[-1], rtol=1e-13, atol=1e-13)


def test_a_model_without_numbers() -> None:
    with torch.device('meta'):
        model = MogaNet('tiny', drop_path_rate=0.1, gate_fp32=True)
        assert model(torch.zeros(1, 3, 64, 64))[-1].shape == (1, 256, 2, 2)


def test_replaced_and_hooked_layers_of_the_ffn_are_called() -> None:
    class Lora(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1.0

    plain, changed = small().eval(), small().eval()
    seen: list[tuple[int, ...]] = []
    for block in changed.blocks1:
        block.mlp.fc2.register_forward_hook(lambda module, inputs, out: seen.append(tuple(out.shape)))
        block.mlp.sigma.register_forward_hook(lambda module, inputs, out: seen.append(tuple(out.shape)))
    expected = plain(image())[-1].detach()
    # The same sums in another order; without trained statistics the values are large, and rounding with them.
    tolerance = 3e-5 * float(expected.square().mean().sqrt())
    torch.testing.assert_close(changed(image())[-1], expected, rtol=0, atol=tolerance)
    assert seen == [(2, 16, 16, 16), (2, 8, 16, 16)]
    changed.blocks2[0].mlp.fc2.__class__ = Lora
    assert (changed(image())[1] - plain(image())[1]).abs().max() > 0.1


def test_gate_act_twice_changes_the_function() -> None:
    once, twice = small().eval(), small(gate_act_twice=True).eval()
    assert once.state_dict().keys() == twice.state_dict().keys()
    assert (once(image())[-1] - twice(image())[-1]).abs().max() > 1e-3


def test_initialisation_is_that_of_the_published_code() -> None:
    torch.manual_seed(0)
    model = MogaNet('tiny')
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            assert not module.bias.any(), name
            if module.weight.numel() > 4000:
                fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                # 4000 draws give the standard deviation within 1.2 % (one sigma).
                assert float(module.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.06), name
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all() and not module.bias.any()
            assert module.momentum == 0.1 and module.eps == 1e-5
    block = model.blocks3[5]
    for scale in (block.layer_scale_1, block.layer_scale_2, block.attn.sigma.scale, block.mlp.sigma.scale):
        assert scale.detach().unique().tolist() == pytest.approx([1e-5])


def test_init_weights_draws_anew_and_init_cfg_loads(tmp_path: Any) -> None:
    model = small()
    with torch.no_grad():
        model.norm1.weight.zero_()
    model.init_weights()
    assert model.norm1.weight.eq(1).all()
    with torch.no_grad():
        model.norm1.weight.zero_()
    model.init_weights()  # MMEngine's contract: a second time changes nothing
    assert not model.norm1.weight.any()
    source = small()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(1.0)
    torch.save(source.state_dict(), tmp_path / 'source.pth')
    loaded = small(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'source.pth')))
    loaded.init_weights()
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), source.parameters()))


def test_layer_depths_follow_the_published_table() -> None:
    model = MogaNet('base')
    expected = {
        'patch_embed1.projection.0.weight': 0,
        'blocks1.3.attn.gate.bias': 2,
        'patch_embed2.norm.weight': 3,
        'blocks2.5.layer_scale_1': 3,
        'patch_embed3.projection.weight': 4,
        'blocks3.0.norm1.weight': 3,
        'blocks3.7.mlp.fc1.weight': 6,
        'blocks3.21.mlp.fc1.weight': 11,
        'patch_embed4.projection.weight': 12,
        'blocks4.2.norm2.bias': 12,
        'norm1.weight': 13,
        'norm4.bias': 13,
    }
    names = {name for name, _ in model.named_parameters()}
    for name, depth in expected.items():
        assert name in names
        assert model.get_layer_depth(name) == (depth, 14)
        assert model.get_layer_depth(f'backbone.{name}', 'backbone.') == (depth, 14)
    # Without the prefix it is no parameter of the backbone, whatever it is called.
    for name in ('neck.patch_embed1.weight', 'patch_embed1.projection.0.weight'):
        assert model.get_layer_depth(name, 'backbone.') == (13, 14)


@pytest.mark.parametrize('options', [{}, dict(gate_act_twice=True, gate_fp32=True, with_cp=True)])
def test_every_parameter_gets_a_finite_gradient(options: dict[str, Any]) -> None:
    model = MogaNet('xtiny', **options).train()
    sum(out.square().mean() for out in model(image())).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def _traced(model: MogaNet) -> Callable[[Tensor], Any]:
    return torch.jit.trace(model, image(), check_trace=False)


def _symbolic(model: MogaNet) -> Callable[[Tensor], Any]:
    return torch.fx.symbolic_trace(model)


def _copied(model: MogaNet) -> Callable[[Tensor], Any]:
    return copy.deepcopy(model)


def _pickled(model: MogaNet) -> Callable[[Tensor], Any]:
    return pickle.loads(pickle.dumps(model))


def _exported(model: MogaNet) -> Callable[[Tensor], Any]:
    batch = torch.export.Dim('batch', min=1, max=64)
    program = torch.export.export(model, (image(),), dynamic_shapes=({0: batch},))
    return program.module()


@pytest.mark.filterwarnings('ignore:.*torch.jit.*is deprecated:DeprecationWarning')
@pytest.mark.parametrize('options', [{}, dict(gate_fp32=True, gate_act_twice=True)], ids=['plain', 'gate options'])
@pytest.mark.parametrize('transform', [_traced, _symbolic, _copied, _pickled, _exported])
def test_transforms_keep_the_function(transform: Callable[[MogaNet], Any], options: dict[str, Any]) -> None:
    model = small(**options).eval()
    transformed = transform(model)
    for batch in (2, 5):  # not only the batch that it was traced with
        with torch.no_grad():
            expected, actual = model(image(batch)), transformed(image(batch))
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected):
            # Traced and exported graphs take plain convolutions, whose sums are rounded in another order; without
            # trained statistics the values reach a thousand, and rounding grows with them.
            torch.testing.assert_close(a, e, rtol=0, atol=3e-5 * float(e.square().mean().sqrt()))


@pytest.mark.filterwarnings('ignore:.*torch.jit.*is deprecated:DeprecationWarning')
@pytest.mark.filterwarnings('error::torch.jit.TracerWarning')
def test_tracing_passes_its_own_check() -> None:
    """With statistics as a trained model has them; the check holds the traced graph against the plain model."""
    model = small().train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(image(batch=8))
        torch.jit.trace(model.eval(), image())


def test_weights_survive_a_file() -> None:
    model, other = small(), MogaNet(SMALL)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other.eval()(image())[-1], model.eval()(image())[-1], rtol=0, atol=0)
