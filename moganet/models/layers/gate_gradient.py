"""Gated aggregation's elementwise steps with gradients of their own, which keep none of the maps in between."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .gpu import gate_product
from .gpu_functions import plain_gate
from .recompute import KeepsInputs, gradients_of, outside_autocast, pointwise, pointwise_backward


def gated_product(gate: Tensor, value: Tensor, act_twice: bool) -> Tensor:
    """``SiLU(gate) * SiLU(value)``, or with ``act_twice`` SiLU of SiLU in both places."""
    product = gate_product(gate, value, act_twice)
    return plain_gate(gate, value, act_twice) if product is None else product


def project_gated_plainly(gate: Tensor, value: Tensor, weight: Tensor, bias: Tensor | None, act_twice: bool) -> Tensor:
    """The gate's product in the weight's dtype, and ``proj_2``."""
    product = gated_product(gate.to(weight.dtype), value.to(weight.dtype), act_twice)
    return pointwise(product, weight, bias)


class ProjectGated(KeepsInputs):
    """:func:`project_gated_plainly`, of whose maps only the gate and the value are kept."""

    @staticmethod
    def forward(gate: Tensor, value: Tensor, weight: Tensor, bias: Tensor | None, act_twice: bool) -> Tensor:
        with outside_autocast(gate):
            return project_gated_plainly(gate, value, weight, bias, act_twice)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        act_twice, needs = ctx.option, ctx.needs_input_grad
        with outside_autocast(gradients[0]):
            if torch.is_grad_enabled():
                compute = partial(project_gated_plainly, act_twice=act_twice)
                return *gradients_of(compute, ctx.saved_tensors, needs, gradients[0]), None
            gate, value, weight, _ = ctx.saved_tensors
            dtypes = gate.dtype, value.dtype
            gate, value = gate.to(weight.dtype), value.to(weight.dtype)
            needed = (True, *needs[2:4])
            on_gpu = _product_by_kernel(gate, value, act_twice)
            if on_gpu is not None:
                product, through = on_gpu
                of_product, of_weight, of_bias = pointwise_backward(gradients[0], product, weight, needed)
                assert of_product is not None  # it was asked for
                of_gate, of_value = through(of_product)
                return of_gate.to(dtypes[0]), of_value.to(dtypes[1]), of_weight, of_bias, None
            acted = [F.silu(gate), F.silu(value)]
            inner = list(acted)
            if act_twice:
                acted = [F.silu(acted[0]), F.silu(acted[1])]
            product = acted[0] * acted[1]
            of_product, of_weight, of_bias = pointwise_backward(gradients[0], product, weight, needed)
            assert of_product is not None  # it was asked for
            of_gate, of_value = of_product * acted[1], of_product.mul_(acted[0])
            if act_twice:
                of_gate, of_value = _through_silu(of_gate, inner[0]), _through_silu(of_value, inner[1])
            of_gate, of_value = _through_silu(of_gate, gate), _through_silu(of_value, value)
        return of_gate.to(dtypes[0]), of_value.to(dtypes[1]), of_weight, of_bias, None


def _product_by_kernel(
    gate: Tensor, value: Tensor, act_twice: bool
) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, ...]]] | None:
    """Return :func:`gated_product` and its backward pass where a kernel on a GPU computes them, else None."""
    with torch.enable_grad():
        leaves = gate.detach().requires_grad_(), value.detach().requires_grad_()
        product = gate_product(leaves[0], leaves[1], act_twice)
    if product is None:
        return None
    return product.detach(), lambda gradient: torch.autograd.grad(product, leaves, gradient)


def decompose_plainly(x: Tensor, sigma: Tensor, dtype: torch.dtype) -> Tensor:
    """``SiLU(x + sigma * (x - mean(x)))``, with one pass for all that is before the activation."""
    mean = x.mean((2, 3), keepdim=True)
    return F.silu(torch.addcmul(-sigma * mean, x, 1 + sigma)).to(dtype)


class DecomposeFeatures(KeepsInputs):
    """:func:`decompose_plainly`, of whose maps the input alone is kept."""

    @staticmethod
    def forward(x: Tensor, sigma: Tensor, dtype: torch.dtype) -> Tensor:
        return decompose_plainly(x, sigma, dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, sigma = ctx.saved_tensors
        if torch.is_grad_enabled():
            compute = partial(decompose_plainly, dtype=ctx.option)
            of_x, of_sigma = gradients_of(compute, ctx.saved_tensors, ctx.needs_input_grad, gradients[0])
            return of_x, of_sigma, None
        mean = x.mean((2, 3), keepdim=True)
        before = torch.addcmul(-sigma * mean, x, 1 + sigma)
        of_before = _through_silu(gradients[0].to(before.dtype), before)
        averages = of_before.mean((2, 3), keepdim=True)
        of_sigma = None
        if ctx.needs_input_grad[1]:
            products = (of_before * x).sum((2, 3), keepdim=True)
            of_sigma = (products - averages * mean * (x.shape[2] * x.shape[3])).sum(0, keepdim=True).to(sigma.dtype)
        of_x = torch.addcmul(-sigma * averages, of_before, 1 + sigma).to(x.dtype)
        return of_x, of_sigma, None


def _through_silu(gradient: Tensor, x: Tensor) -> Tensor:
    found: Tensor = torch.ops.aten.silu_backward(gradient, x)
    return found
