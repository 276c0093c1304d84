"""What ``--amp`` does to a config."""

from __future__ import annotations

from typing import Any

from ..compat import on_cpu

_DTYPES = {'bf16': 'bfloat16', 'fp16': 'float16'}
# Wrappers that step by themselves; others, as DeepSpeed's, need what only their own Runner makes.
PLAIN_WRAPPERS = ('OptimWrapper', 'AmpOptimWrapper', 'CpuAmpOptimWrapper')


def apply_amp(cfg: Any, choice: str) -> str:
    """Have a config train in mixed precision, in place.

    Args:
        cfg: the config.
        choice: ``bf16``, ``fp16``, or ``auto``: fp16 on a GPU and bf16 on a CPU.

    Returns:
        One line that says what is done.

    Raises:
        ValueError: the machine or the config's optimizer wrapper cannot do it.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind not in PLAIN_WRAPPERS:
        raise ValueError(f'--amp replaces optim_wrapper.type={kind!r}, which has its own way; allowed: OptimWrapper')
    cpu = on_cpu()
    if choice == 'auto':
        choice = 'bf16' if cpu else 'fp16'
    if cpu:
        if choice == 'fp16':
            raise ValueError('--amp fp16 needs a GPU, and there is no CUDA here; use --amp bf16')
        _to_cpu_amp(wrapper)
    else:
        wrapper['type'] = 'AmpOptimWrapper'
        if choice == 'bf16':
            wrapper['loss_scale'] = 1.0  # bfloat16 has float32's range
        elif wrapper.get('dtype') == _DTYPES['bf16']:
            wrapper['loss_scale'] = 'dynamic'  # the scale that the config has is for bfloat16
        else:
            wrapper.setdefault('loss_scale', 'dynamic')
        wrapper['dtype'] = _DTYPES[choice]
    return f'mixed precision: {choice}' + (' in backbone and neck' if cpu else '')


def mend_amp_on_cpu(cfg: Any) -> list[str]:
    """Run a config that asks for MMEngine's AMP on a CPU with ours, since MMEngine's refuses there."""
    if not on_cpu() or cfg.optim_wrapper.get('type') != 'AmpOptimWrapper':
        return []
    _to_cpu_amp(cfg.optim_wrapper)
    return ['no CUDA: the mixed precision of this config runs as bf16 in backbone and neck']


def _to_cpu_amp(wrapper: Any) -> None:
    wrapper['type'] = 'CpuAmpOptimWrapper'
    for key in ('dtype', 'loss_scale', 'use_fsdp'):
        wrapper.pop(key, None)
