"""Compiles Triton's kernels for GPUs that need not be there, and prints what was compiled; ``test_triton.py`` reads it.

The interpreter takes much that the compiler refuses. Every launch of a forward and a backward pass is caught, and
compiled with the types and constants of its arguments.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from moganet.models.layers import gpu_functions as functions
from moganet.models.layers import triton_kernels

TYPES = {torch.float32: 'fp32', torch.bfloat16: 'bf16', torch.float16: 'fp16'}


class Launches:
    """Takes a kernel's place: compiles it for what it is launched with, and runs nothing."""

    def __init__(self, name: str, capability: int) -> None:
        self.name, self.capability = name, capability
        self.kernel = getattr(triton_kernels, name)

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return self.compile

    def compile(self, *given: Any) -> None:
        parameters = self.kernel.params
        assert len(given) == len(parameters), self.name
        signature, constants, aligned = {}, {}, {}
        for at, (parameter, value) in enumerate(zip(parameters, given)):
            if parameter.is_constexpr:
                signature[parameter.name], constants[(at,)] = 'constexpr', value
            elif isinstance(value, Tensor):
                signature[parameter.name] = f'*{TYPES[value.dtype]}'
                aligned[(at,)] = [['tt.divisibility', 16]]
            else:
                signature[parameter.name] = 'i32'
        source = ASTSource(self.kernel, signature, constants, aligned)
        made = triton.compile(source, target=GPUTarget('cuda', self.capability, 32))
        atomics = re.findall(r'\b(?:atom|red)\.\S+', made.asm['ptx'])
        print(json.dumps({'kernel': self.name, 'atomics': atomics}))


def run(dtype: torch.dtype) -> None:
    # The paper's kernels on the second stage of MogaNet-T.
    x = torch.zeros(2, 64, 28, 28, dtype=dtype, requires_grad=True)
    parameters = [
        torch.zeros(shape, requires_grad=True)
        for channels, side in ((64, 5), (24, 5), (32, 7))
        for shape in ((channels, 1, side, side), (channels,))
    ]
    functions.multi_order_depthwise(x, parameters, (1, 2, 3)).sum().backward()
    for twice in (False, True):
        functions.gate_product(x, x, twice).sum().backward()


def main() -> None:
    capability, dtype = int(sys.argv[1]), sys.argv[2]
    for name in ('_convolve_kernel', '_partial_kernel', '_sum_kernel', '_gate_kernel', '_gate_gradient_kernel'):
        setattr(triton_kernels, name, Launches(name, capability))
    run(getattr(torch, dtype))


if __name__ == '__main__':
    main()
