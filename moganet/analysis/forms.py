"""What a benchmark compares: a model, and the form that it is run in."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..models.backbones.moganet import VARIANTS, MogaNet
from ..models.classifier import MogaNetClassifier
from ..models.fused import fuse
from ..models.layers import ChannelAggregationFFN, MogaBlock, MultiOrderDWConv, MultiOrderGatedAggregation
from ..models.layers.depthwise import DepthwiseConv2d
from ..models.layers.onednn import has_arithmetic
from ..optional import missing

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
LAYOUTS = {'nchw': torch.contiguous_format, 'channels_last': torch.channels_last}
KERNELS = {'triton': '1', 'notriton': '0'}
_SWITCHES = ('plain', 'fused', 'compile', 'train', 'cp', 'cpffn')
BACKENDS = ('onnx', 'openvino')
_TIMM = 'timm/'


@dataclass(frozen=True)
class Form:
    """A model and how it is run.

    Attributes:
        model: a variant of MogaNet, or ``timm/`` and one of timm's names.
        plain: the authors' computation: each layer as it is written down, in the memory format that is given.
        fused: see :func:`moganet.models.fused.fuse`.
        compile: by torch's compiler.
        train: forward, backward and AdamW's step, in place of the forward pass alone.
        cp, cpffn: in training, with ``with_cp=True`` or ``'ffn'`` of the backbone.
        layout: memory format of the pictures and weights, one of :data:`LAYOUTS`.
        dtype: one of :data:`DTYPES`; in training by autocast.
        backend: exported and run there, one of :data:`BACKENDS`; empty for torch.
        dense: the maps of the four stages, in place of the classifier's logits.
        kernels: one of :data:`KERNELS`, whether our kernels for GPUs are taken; where it is empty, as they are chosen.
    """

    model: str
    plain: bool = False
    fused: bool = False
    compile: bool = False
    train: bool = False
    cp: bool = False
    cpffn: bool = False
    layout: str = 'nchw'
    dtype: str = 'fp32'
    backend: str = ''
    dense: bool = False
    kernels: str = ''

    @property
    def name(self) -> str:
        """The form in words that :func:`parse_form` reads."""
        words = [self.model, *(word for word in _SWITCHES if getattr(self, word))]
        words += [self.backend] if self.backend else []
        words += [self.layout] if self.layout != 'nchw' else []
        words += [self.dtype] if self.dtype != 'fp32' else []
        words += [self.kernels] if self.kernels else []
        return '+'.join(words)


def parse_form(text: str, base: Form) -> Form:
    """Read ``MODEL+WORD+WORD``.

    Args:
        text: such as ``tiny+fused+bf16`` or ``timm/convnext_tiny+channels_last``.
        base: what holds where the text does not say otherwise.

    Raises:
        ValueError: an unknown model or word, or words that exclude each other.
    """
    model, *words = text.split('+')
    if model not in VARIANTS and not model.startswith(_TIMM):
        raise ValueError(f'{text}: {model!r} is no model; give one of {", ".join(VARIANTS)}, or {_TIMM}NAME')
    form = replace(base, model=model)
    for word in words:
        if word in _SWITCHES:
            changes: dict[str, Any] = {word: True}
            form = replace(form, **changes)
        elif word in BACKENDS:
            form = replace(form, backend=word)
        elif word in LAYOUTS:
            form = replace(form, layout=word)
        elif word in DTYPES:
            form = replace(form, dtype=word)
        elif word in KERNELS:
            form = replace(form, kernels=word)
        else:
            allowed = ', '.join((*_SWITCHES, *BACKENDS, *LAYOUTS, *DTYPES, *KERNELS))
            raise ValueError(f'{text}: {word!r} is unknown; it must be one of {allowed}')
    _check(form, text)
    return form


def _check(form: Form, text: str) -> None:
    for one, other in (('plain', 'fused'), ('train', 'fused'), ('cp', 'cpffn')):
        if getattr(form, one) and getattr(form, other):
            raise ValueError(f'{text}: {one} and {other} exclude each other')
    if form.backend:
        _check_backend(form, text)
    if (form.cp or form.cpffn) and not form.train:
        raise ValueError(f'{text}: cp and cpffn are ways of training; add train')
    ours = (form.plain, form.fused, form.dense, form.kernels, form.cp, form.cpffn)
    if form.model.startswith(_TIMM) and any(ours):
        raise ValueError(f'{text}: plain, fused, triton, notriton, cp, cpffn and --dense are for MogaNet alone')
    if form.kernels == 'triton' and (form.plain or form.compile or form.layout != 'channels_last'):
        raise ValueError(f'{text}: triton goes with channels_last, and neither with plain nor with compile')


def _check_backend(form: Form, text: str) -> None:
    chosen = form.backend
    for other in ('compile', 'train'):
        if getattr(form, other):
            raise ValueError(f'{text}: {chosen} and {other} exclude each other')
    if form.layout != 'nchw' or form.model.startswith(_TIMM):
        raise ValueError(f'{text}: {chosen} is for MogaNet, and takes its pictures as nchw')
    if form.dtype != 'fp32' and (chosen, form.dtype) != ('openvino', 'bf16'):
        raise ValueError(f'{text}: {chosen} has no {form.dtype} here; fp32 is left, and with openvino bf16')


def build_form(form: Form, device: torch.device) -> nn.Module:
    """Build a model with random weights in its form; it is compiled, or exported for a backend, elsewhere.

    Raises:
        ImportError: timm, or what a backend needs, is missing.
        ValueError: timm has no such model; the processor has no fast arithmetic of this precision; it is no GPU, for
            which the kernels are.
    """
    _check_dtype(form.dtype, device)
    if form.kernels == 'triton' and device.type != 'cuda':
        raise ValueError(f'{form.name}: these kernels are for GPUs, and this is {device.type}; leave triton out')
    torch.manual_seed(0)
    model = _model(form).train(form.train)
    if form.cp or form.cpffn:
        for module in model.modules():
            if isinstance(module, MogaBlock):
                module.with_cp = True if form.cp else 'ffn'
    if form.plain:
        model = plain(model)
    if form.backend:  # whose export fuses, and which computes in the precision that it is told
        return model
    if form.fused:
        model = fuse(model)
    half = DTYPES[form.dtype] if not form.train else torch.float32
    # The memory format has a place among the arguments of to() that its annotations do not have.
    return model.to(device, half).to(memory_format=LAYOUTS[form.layout])  # type: ignore[call-overload]


def _model(form: Form) -> nn.Module:
    if form.model.startswith(_TIMM):
        return _timm(form.model.removeprefix(_TIMM))
    return MogaNet(form.model) if form.dense else MogaNetClassifier(form.model, gate_act_twice=False)


def _timm(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise missing('the benchmark', 'timm', error) from error
    if not timm.is_model(name):
        raise ValueError(f'timm has no model {name!r}; timm.list_models() has the names')
    model: nn.Module = timm.create_model(name)
    return model


def _check_dtype(dtype: str, device: torch.device) -> None:
    if device.type != 'cpu' or dtype == 'fp32':
        return
    if not has_arithmetic(dtype):
        raise ValueError(f'{dtype}: this processor has no arithmetic of that precision; use fp32')


def plain(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose MogaNet computes what is written down, step by step, as the authors' code does."""
    model = copy.deepcopy(model)
    for name, module in [*model.named_modules()]:
        if isinstance(module, DepthwiseConv2d):
            _replace(model, name, _same_conv(module, nn.Conv2d))
        # A layer of another class is called, and not folded into its neighbours; autograd keeps what it likes.
        elif isinstance(module, ChannelAggregationFFN):
            module.fc2 = _same_conv(module.fc2, _Conv2d)
        elif isinstance(module, MultiOrderGatedAggregation):
            module.proj_2 = _same_conv(module.proj_2, _Conv2d)
        elif isinstance(module, MultiOrderDWConv):
            module.PW_conv = _same_conv(module.PW_conv, _Conv2d)
        elif isinstance(module, MogaNet):
            module.__class__ = _PlainMogaNet
    return model


class _Conv2d(nn.Conv2d):
    """A convolution of a class of its own."""


class _PlainMogaNet(MogaNet):
    """A MogaNet that leaves its maps in the memory format in which they come."""

    def forward_stages(self, x: Tensor, stages: Sequence[int]) -> tuple[Tensor, ...]:
        outs = []
        for stage in range(stages[-1] + 1):
            embed, blocks, norm = self._stage_parts(stage)
            x = embed(x)
            for block in blocks:
                x = block(x)
            x = norm(x)
            if stage in stages:
                outs.append(x)
        return tuple(outs)


def _same_conv(conv: nn.Conv2d, kind: type[nn.Conv2d]) -> nn.Conv2d:
    made = kind(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        padding=conv.padding,  # type: ignore[arg-type]
        dilation=conv.dilation,  # type: ignore[arg-type]
        groups=conv.groups,
        device='meta',
    )
    made.weight, made.bias = conv.weight, conv.bias
    return made


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition('.')
    setattr(model.get_submodule(parent), leaf, module)
