"""Pictures a second and memory of models side by side, and what the machine could do at most."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..deployment import FORMATS, export_model, load_exported
from ..deployment.formats import need
from ..models.layers.gpu_choice import VARIABLE
from .forms import DTYPES, KERNELS, LAYOUTS, Form, build_form
from .memory import peak_bytes

_GEMM_SIDE = 2048
_COPIED_BYTES = 2**28


@dataclass(frozen=True)
class Throughput:
    """What was measured of one form.

    Attributes:
        form: of :mod:`.forms`.
        batch, size: pictures at a time, and their side in pixels.
        seconds: median of one pass or step.
        low, high: quartiles of the same.
        samples: how many were timed.
        peak: bytes of tensors alive at one time, weights included; on a GPU what the allocator saw. Zero for what runs
            outside torch, where it is not known.
        flops: floating-point operations of the convolutions and matrix products as the plain form does them.
    """

    form: Form
    batch: int
    size: int
    seconds: float
    low: float
    high: float
    samples: int
    peak: int
    flops: int

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.batch / self.seconds


@dataclass(frozen=True)
class Limits:
    """What a machine was seen to do: matrix products, floating-point operations a second, and bytes a second."""

    flops: float
    bandwidth: float


def measure(
    forms: Sequence[Form], batch: int, size: int, device: torch.device, rounds: int = 5, seconds: float = 1.0
) -> list[Throughput]:
    """Time forms in turn, round by round, so that what else the machine does befalls all of them alike.

    Args:
        forms: what to compare.
        batch: pictures at a time.
        size: side of a picture, pixels.
        device: where.
        rounds: how often each gets its turn.
        seconds: how long a turn is, at least one pass.

    Raises:
        ValueError: a number is too small; see also :func:`.forms.build_form`.
    """
    for name, number in (('batch', batch), ('size', size), ('rounds', rounds)):
        if number < 1:
            raise ValueError(f'{name} is {number}; it must be at least 1')
    works = [_work(form, batch, size, device) for form in forms]
    counts = [max(1, int(seconds / _warmed_up(work, device))) for work in works]
    peaks = [_peak(work, device) for work in works]
    times: list[list[float]] = [[] for _ in forms]
    for _ in range(rounds):
        for work, count, taken in zip(works, counts, times):
            work.run()  # the caches have the other forms' weights
            taken += [_timed(work.run, device) for _ in range(count)]
    kinds = {(form.model, form.train): form for form in forms}
    flops = {key: _flops(form, batch, size) for key, form in kinds.items()}
    return [
        Throughput(form, batch, size, *_quartiles(taken), len(taken), peak, flops[form.model, form.train])
        for form, taken, peak in zip(forms, times, peaks)
    ]


def measure_limits(dtype: str, device: torch.device) -> Limits:
    """Time a product of large matrices and a copy of a large tensor, each the fastest of several."""
    kind = DTYPES[dtype]
    one, other = (torch.randn(_GEMM_SIDE, _GEMM_SIDE, device=device, dtype=kind) for _ in range(2))
    gemm = min(_timed(lambda: one @ other, device) for _ in range(10))
    source = torch.zeros(_COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    copied = min(_timed(lambda: target.copy_(source), device) for _ in range(10))
    return Limits(2 * _GEMM_SIDE**3 / gemm, 2 * _COPIED_BYTES / copied)


@dataclass(frozen=True)
class _Work:
    run: Callable[[], Any]
    model: nn.Module
    x: Tensor
    exported: bool = False


def _work(form: Form, batch: int, size: int, device: torch.device) -> _Work:
    model = build_form(form, device)
    x = torch.randn(batch, 3, size, size, device=device).to(memory_format=LAYOUTS[form.layout])
    if form.backend:
        return _exported(form, model, x)
    call: Callable[[Tensor], Any] = torch.compile(model) if form.compile else model
    kernels = 'notriton' if form.plain else form.kernels  # the authors had none
    if kernels:
        call = _with_kernels(call, KERNELS[kernels])
    if form.train:
        return _Work(_training(model, call, x, DTYPES[form.dtype]), model, x)
    x = x.to(DTYPES[form.dtype])

    def infer() -> None:
        with torch.no_grad():
            call(x)

    return _Work(infer, model, x)


def _with_kernels(call: Callable[[Tensor], Any], wanted: str) -> Callable[[Tensor], Any]:
    """Say in the environment whether kernels for GPUs are taken; a forward pass decides for the backward one too."""

    def run(x: Tensor) -> Any:
        with mock.patch.dict(os.environ, {VARIABLE: wanted}):
            return call(x)

    return run


def _exported(form: Form, model: nn.Module, x: Tensor) -> _Work:
    """Run a model in another runtime, exported for these pictures and checked with them.

    Raises:
        ValueError: not on a processor; or the model cannot be exported.
        ImportError: what the runtime needs is missing.
    """
    if x.device.type != 'cpu':
        raise ValueError(f'{form.name}: exported models run on a processor here; give --device cpu')
    kind = FORMATS[form.backend]
    need((*kind.writes, *kind.reads), f'the form {form.name}')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f'model{kind.suffix}')
        export_model(model, kind, path, [x[:1]], fused=form.fused, shape=(x.shape[2], x.shape[3]), batch=len(x))
        exported = load_exported(path, torch.get_num_threads(), form.dtype)
    return _Work(lambda: exported(x), model, x, exported=True)


def _training(model: nn.Module, call: Callable[[Tensor], Any], x: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    half = dtype is not torch.float32

    def step() -> None:
        with torch.autocast(x.device.type, dtype) if half else nullcontext():
            out = call(x)
        last = out[-1] if isinstance(out, tuple) else out
        last.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _warmed_up(work: _Work, device: torch.device) -> float:
    """Run until kernels are chosen and caches filled; return the seconds of a pass."""
    for _ in range(3):
        work.run()
    return _timed(work.run, device)


def _timed(run: Callable[[], Any], device: torch.device) -> float:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    run()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _peak(work: _Work, device: torch.device) -> int:
    if work.exported:
        return 0
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        work.run()
        return torch.cuda.max_memory_allocated(device)
    kept = [*work.model.parameters(), *work.model.buffers()]
    return peak_bytes(work.run, kept, [work.x])[1]


def _flops(form: Form, batch: int, size: int) -> int:
    """Count with the plain form, whose work is that of all forms; a training step is three forward passes."""
    model = build_form(Form(form.model, dense=form.dense), torch.device('cpu')).to('meta')
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(batch, 3, size, size, device='meta'))
    return counter.get_total_flops() * (3 if form.train else 1)


def _quartiles(taken: list[float]) -> tuple[float, float, float]:
    """Return median, lower and upper quartile."""
    if len(taken) < 2:
        return taken[0], taken[0], taken[0]
    low, median, high = statistics.quantiles(taken, n=4, method='inclusive')
    return median, low, high
