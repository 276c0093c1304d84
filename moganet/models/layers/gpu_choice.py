"""Whether a step is left to a kernel of our own on a GPU.

By itself a kernel is taken where three things hold: it can be, it agreed with the plain form, and it was faster. The
latter two are tried on the user's own device, once for each kind of map: a kernel that is slow or wrong on a device,
or that does not compile there, is not taken, and no table of devices has to be believed.

``MOGANET_TRITON`` in the environment says otherwise: ``0`` takes the plain form everywhere, ``1`` takes the kernels
wherever they fit, without trying; ``auto`` is what holds without it.

A clock does not choose twice alike, so that a run that goes on could take another form than before. Where
deterministic algorithms are asked for, ``auto`` therefore takes the plain form.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from moganet.compat import is_traced, is_watched

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
VARIABLE = 'MOGANET_TRITON'
_DEVICES = ('cuda',)  # ROCm's too, as torch calls them
# A kernel that is not clearly faster could be slower tomorrow.
_FASTER = 0.95
_ROUNDS, _RUNS = 5, 5
# Of the largest value. Convolutions in TF32, which torch may take for float32, differ by 1e-3, bfloat16 by 1e-2; a
# wrong kernel differs by about 1.
_AGREEMENT = 0.05

_choices: dict[Hashable, bool] = {}

Step = Callable[..., Tensor]


def may_take(x: Tensor) -> bool:
    """Whether kernels come into question for a map at all: on a GPU, as itself and not as a part of a graph.

    Raises:
        ValueError: the environment says what cannot be understood.
        ImportError: it demands the kernels, and Triton is missing.
    """
    # A map may also be a proxy of torch.fx.
    if not isinstance(x, Tensor) or is_traced(x) or x.device.type not in _DEVICES:
        return False
    if type(x) not in (Tensor, nn.Parameter) or is_watched():
        return False
    wanted = _wanted()
    if wanted == '1':
        _demand_triton()
        return True
    return wanted == 'auto' and not _is_deterministic() and _has_triton()


def is_faster(key: tuple[Hashable, ...], ours: Step, plain: Step, given: Sequence[Tensor]) -> bool:
    """Whether to take a kernel, which is tried where that is not known yet.

    Args:
        key: everything that the choice depends on but the device and whether there are gradients.
        ours, plain: the two forms, each a function of tensors.
        given: what they get.
    """
    if _wanted() == '1':
        return True
    device = given[0].device
    wanted = tuple(torch.is_grad_enabled() and value.requires_grad for value in given)
    key = (*key, device, wanted)
    if key not in _choices:
        if _is_capturing(device):
            return False
        _choices[key] = _try(ours, plain, given, wanted)
    return _choices[key]


def _wanted() -> str:
    given = os.environ.get(VARIABLE) or 'auto'
    if given not in ('0', '1', 'auto'):
        raise ValueError(f'{VARIABLE} is {given!r} in the environment; it must be 0, 1 or auto')
    return given


def _is_deterministic() -> bool:
    return torch.are_deterministic_algorithms_enabled() or torch.backends.cudnn.deterministic


@cache
def _has_triton() -> bool:
    try:
        import_module('triton')
    except Exception:  # a broken one raises anything
        return False
    return True


def _demand_triton() -> None:
    if not _has_triton():
        from moganet.optional import missing

        try:
            import_module('triton')
        except Exception as error:
            raise missing(f'{VARIABLE}=1', 'triton', error) from error


def _is_capturing(device: torch.device) -> bool:
    """Whether a CUDA graph is being recorded, which must not hold what is only tried."""
    return device.type == 'cuda' and torch.cuda.is_current_stream_capturing()


def _try(ours: Step, plain: Step, given: Sequence[Tensor], wanted: Sequence[bool]) -> bool:
    """Run both forms on copies, forward and where it is wanted backward; return whether ours agrees and is faster."""
    # Hooks that keep saved tensors elsewhere, of checkpointing for one, are not meant for what is done here.
    with (
        torch.autograd.graph.saved_tensors_hooks(_itself, _itself),
        torch.set_grad_enabled(any(wanted)),
        torch.cuda.device(given[0].device) if given[0].is_cuda else nullcontext(),
    ):
        leaves = [value.detach().requires_grad_(needed) for value, needed in zip(given, wanted)]
        asked = [leaf for leaf in leaves if leaf.requires_grad]
        try:
            expected = plain(*leaves)
            # Small enough that no sum over the pixels leaves float16; and no random numbers, which a run may count on.
            pixels = expected.numel() // expected.shape[1]
            gradient = expected.detach() / pixels**0.5

            def steps(form: Step) -> Callable[[], list[Tensor]]:
                def run() -> list[Tensor]:
                    out = form(*leaves)
                    return [out, *(torch.autograd.grad(out, asked, gradient) if asked else ())]

                return run

            if not all(map(_agree, steps(ours)(), steps(plain)())):
                return _refused('it differs from the plain form')
            return _milliseconds(steps(ours)) < _FASTER * _milliseconds(steps(plain))
        except Exception as error:
            return _refused(f'{type(error).__name__}: {error}')


def _itself(value: Any) -> Any:
    return value


def _agree(found: Tensor, expected: Tensor) -> bool:
    found, expected = found.float(), expected.float()
    if not expected.isfinite().all():
        return True
    return bool((found - expected).abs().max() <= _AGREEMENT * expected.abs().max())


def _refused(reason: str) -> bool:
    warnings.warn(f'a Triton kernel is not taken, {reason}; {VARIABLE}=0 does without trying', stacklevel=2)
    return False


def _milliseconds(run: Callable[[], Any]) -> float:
    """Time one run on the current GPU: the fastest of some rounds, which is the least disturbed one."""
    taken = []
    run()
    for _ in range(_ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        for _ in range(_RUNS):
            run()
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end) / _RUNS)
    return min(taken)
