"""MogaNet against the published code's recorded outputs and against its equations in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from moganet import MogaNet
from moganet.models.backbones import VARIANTS

from . import naive
from .reference import error_over_rms, filled_state, recorded, reference_input

# Of the root mean square. Float32 differs from float64 by 2e-6 here, and the smallest known mistake, BN's eps of 1e-6,
# by 1e-4.
TOLERANCE = 1e-5
# A gradient's norm sums the rounding of a whole backward pass: the tests see 3e-5.
STEP_TOLERANCE = 1e-4


class Classifier(nn.Module):
    """The backbone with the published classifier on top: mean over the map, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MogaNet('tiny')
        self.head = nn.Linear(256, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x)[-1].mean((2, 3)))

    def named(self) -> dict[str, nn.Parameter]:
        """Parameters under the published names, which know no ``backbone.``."""
        return {name.removeprefix('backbone.'): parameter for name, parameter in self.named_parameters()}


@pytest.fixture
def classifier() -> Classifier:
    listing, arrays = recorded()
    state = filled_state(listing['state_dict'], arrays['calib'])
    model = Classifier()
    head = {name.removeprefix('head.'): state.pop(name) for name in list(state) if name.startswith('head.')}
    model.head.load_state_dict(head)
    model.backbone.load_state_dict(state)
    return model.eval()


def logits_error(model: Classifier, size: int = 224) -> float:
    with torch.no_grad():
        return error_over_rms(model(reference_input(size, size)), recorded()[1][f'logits_{size}'])


def train_step(model: Classifier) -> tuple[float, list[float], list[Tensor]]:
    """Loss, gradient norms and BN statistics of one training step, in the fixtures' order."""
    listing, _ = recorded()
    model.train()
    loss = model(reference_input(224, 224)).square().mean()
    loss.backward()
    named = model.named()
    gradients = [float(torch.linalg.vector_norm(named[name].grad.double())) for name in listing['grad_names']]
    buffers = dict(model.backbone.named_buffers())
    return float(loss.detach()), gradients, [buffers[name] for name in listing['bn_names']]


def step_errors(model: Classifier) -> dict[str, float]:
    loss, gradients, statistics = train_step(model)
    _, arrays = recorded()
    expected = np.split(arrays['bn_stats'], np.cumsum(recorded()[0]['bn_sizes'])[:-1])
    relative = np.abs(np.asarray(gradients) - arrays['grad_norms']) / arrays['grad_norms'].clip(1e-12)
    return {
        'loss': abs(loss / float(arrays['train_loss'][0]) - 1),
        # A gradient that is zero but for rounding (a bias right before a BN) has no meaningful relative error.
        'gradients': float(relative[arrays['grad_norms'] > 1e-5 * arrays['grad_norms'].max()].max()),
        'statistics': max(error_over_rms(a, b) for a, b in zip(statistics, expected)),
    }


@pytest.mark.parametrize('size', [224, 256])
def test_logits_equal_published_code(classifier: Classifier, size: int) -> None:
    assert logits_error(classifier, size) < TOLERANCE


def test_dense_maps_equal_published_code(classifier: Classifier) -> None:
    _, arrays = recorded()
    with torch.no_grad():
        maps = classifier.backbone(reference_input(160, 224))
    for stage, out in enumerate(maps, start=1):
        assert tuple(out.shape) == (2, (32, 64, 128, 256)[stage - 1], 160 // 2 ** (stage + 1), 224 // 2 ** (stage + 1))
        assert error_over_rms(out.flatten()[arrays[f'dense_s{stage}_idx']], arrays[f'dense_s{stage}_val']) < TOLERANCE
        mean, std = float(out.double().mean()), float(out.double().std(unbiased=False))
        assert abs(mean - float(arrays[f'dense_s{stage}_mean'])) < TOLERANCE * std
        assert abs(std / float(arrays[f'dense_s{stage}_std']) - 1) < TOLERANCE


def test_training_step_equals_published_code(classifier: Classifier) -> None:
    errors = step_errors(classifier)
    assert max(errors.values()) < STEP_TOLERANCE, errors


def test_state_dict_names_and_shapes_are_the_published_ones() -> None:
    listing, _ = recorded()
    ours = {name: list(tensor.shape) for name, tensor in MogaNet('tiny').state_dict().items()}
    assert ours == dict(listing['dense_state_dict'])


def _wrong_dilation(model: Classifier) -> None:
    for block in model.backbone.blocks3:
        block.attn.value.DW_conv2.dilation, block.attn.value.DW_conv2.padding = (2, 2), (6, 6)


def _wrong_slices(model: Classifier) -> None:
    class Reversed(type(model.backbone.blocks1[0].attn.value)):
        def forward(self, x: Tensor) -> Tensor:
            low, high, middle = torch.split(self.DW_conv0(x), [self.splits[0], self.splits[2], self.splits[1]], dim=1)
            return self.PW_conv(torch.cat([low, self.DW_conv2(high), self.DW_conv1(middle)], dim=1))

    for block in model.backbone.blocks1:
        block.attn.value.__class__ = Reversed


def _tanh_gelu(model: Classifier) -> None:
    for module in model.modules():
        if isinstance(module, nn.GELU):
            module.approximate = 'tanh'


def _small_eps(model: Classifier) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-6


def _gate_twice(model: Classifier) -> None:
    for module in model.modules():
        if hasattr(module, 'gate_act_twice'):
            module.gate_act_twice = True


def _no_inner_shortcut(model: Classifier) -> None:
    attention = type(model.backbone.blocks1[0].attn)

    class Without(attention):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) - x

    for module in model.modules():
        if isinstance(module, attention):
            module.__class__ = Without


def _norm_not_in_trunk(model: Classifier) -> None:
    model.backbone.norm2 = nn.Identity()


@pytest.mark.parametrize(
    'mutate',
    [_wrong_dilation, _wrong_slices, _tanh_gelu, _small_eps, _gate_twice, _no_inner_shortcut, _norm_not_in_trunk],
)
def test_reference_catches_a_wrong_forward(classifier: Classifier, mutate: Callable[[Classifier], None]) -> None:
    mutate(classifier)
    assert logits_error(classifier) > TOLERANCE


def test_reference_catches_a_wrong_training_step(classifier: Classifier) -> None:
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.01
    classifier.backbone.blocks2[0].layer_scale_1.register_hook(lambda gradient: gradient * 0.99)
    errors = step_errors(classifier)
    assert errors['statistics'] > STEP_TOLERANCE
    assert errors['gradients'] > STEP_TOLERANCE


def calibrated(model: MogaNet) -> MogaNet:
    """Weights by the fixtures' rule and BN statistics of one batch: without those the gate's products overflow."""
    model.load_state_dict(filled_state((name, tensor.shape) for name, tensor in model.state_dict().items()))
    model.double().train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(reference_input(64, 64).double())
    return model.eval()


def naive_error(model: MogaNet, height: int, width: int, act_twice: bool, final_dilation: bool = True) -> float:
    """Largest difference to the naive transcription over the RMS, of all four stages."""
    image = reference_input(height, width)[:1].double()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    expected = naive.forward(image.numpy(), state, model.variant.depths, act_twice, final_dilation)
    with torch.no_grad():
        actual = model(image)
    return max(
        float(np.abs(a.numpy() - e).max() / np.sqrt((e**2).mean())) for a, e in zip(actual, expected, strict=True)
    )


@pytest.mark.parametrize('arch', list(VARIANTS))
def test_equations_in_float64(arch: str) -> None:
    model = calibrated(MogaNet(arch))
    # A map of 1x1 for every stage, then odd sizes that leave a remainder at each stride.
    for height, width in ((1, 1), (31, 31), (33, 33), (97, 161)):
        for act_twice in (False, True):
            for module in model.modules():
                if hasattr(module, 'gate_act_twice'):
                    module.gate_act_twice = act_twice
            assert naive_error(model, height, width, act_twice) < 1e-10, (height, width, act_twice)


def test_equations_of_a_custom_arch_without_final_dilation() -> None:
    arch = dict(embed_dims=(8, 16, 24, 32), depths=(1, 2, 1, 2), ffn_ratios=(2, 3, 4, 2), attn_final_dilation=False)
    model = calibrated(MogaNet(arch, gate_act_twice=True))
    assert naive_error(model, 97, 161, act_twice=True, final_dilation=False) < 1e-10
    assert naive_error(model, 97, 161, act_twice=True, final_dilation=True) > 1e-3
    assert naive_error(model, 97, 161, act_twice=False, final_dilation=False) > 1e-3


PUBLISHED_PARAMETERS = {
    'xtiny': 2_956_066,
    'tiny': 5_197_332,
    'small': 25_335_675,
    'base': 43_720_475,
    'large': 82_480_978,
    'xlarge': 180_991_924,
}


@pytest.mark.parametrize('arch', list(VARIANTS))
def test_parameters_with_the_1000_class_head(arch: str) -> None:
    model = MogaNet(arch)
    head = 1000 * (model.variant.embed_dims[-1] + 1)
    assert sum(parameter.numel() for parameter in model.parameters()) + head == PUBLISHED_PARAMETERS[arch]
