"""What ``--strategy deepspeed`` does to a config."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ..compat import on_cpu

# The version that was tried. MMEngine's strategy imports a module that later ones no longer have.
_INSTALL = "pip install 'deepspeed==0.17.6'"
_NEEDED_MODULE = ('runtime', 'fp16', 'onebit')
_STRATEGY = 'ZeroStrategy'


def apply_deepspeed(cfg: Any, amp: str | None, resume: str | None) -> list[str]:
    """Have a config train by DeepSpeed's ZeRO under MMEngine's FlexibleRunner, in place; return what is to be said.

    Args:
        cfg: the config, on which ``--amp`` has done nothing.
        amp, resume: the options of these names.

    Raises:
        ValueError: DeepSpeed is not here or too new, or the config has what does not go with it.
    """
    check_installed()
    _check_config(cfg, resume)
    given = dict(cfg.get('strategy') or {})
    batch_size = int(cfg.train_dataloader.batch_size)
    cfg.strategy = zero_settings(cfg.optim_wrapper, batch_size, _precision(amp), given)
    taken_over = ('type', 'accumulative_counts', 'clip_grad')
    kept = {key: value for key, value in cfg.optim_wrapper.items() if key not in taken_over}
    cfg.optim_wrapper = {**kept, 'type': 'DeepSpeedOptimWrapper'}
    cfg.runner_type = 'FlexibleRunner'
    cfg.pop('model_wrapper_cfg', None)
    cfg.setdefault('env_cfg', {})
    hooks = dict(cfg.get('default_hooks') or {})
    hooks['checkpoint'] = {**(hooks.get('checkpoint') or {'type': 'CheckpointHook'}), 'save_optimizer': False}
    cfg.default_hooks = hooks
    return ['deepspeed: ZeRO stage 3; checkpoints hold the weights alone, so that the run cannot be resumed']


def check_installed() -> None:
    """Refuse where DeepSpeed is not installed, or where MMEngine's strategy cannot import it.

    Raises:
        ValueError: so it is; the message says what to install.
    """
    spec = importlib.util.find_spec('deepspeed')
    if spec is None or spec.origin is None:
        raise ValueError(f'--strategy deepspeed needs DeepSpeed, which is not installed: {_INSTALL}')
    if not Path(spec.origin).parent.joinpath(*_NEEDED_MODULE).exists():
        raise ValueError(f"--strategy deepspeed: MMEngine's strategy fails on the DeepSpeed that is here: {_INSTALL}")


def zero_settings(wrapper: Any, batch_size: int, precision: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the strategy's config: what the optimizer's wrapper does elsewhere is DeepSpeed's to do.

    Args:
        wrapper: ``optim_wrapper`` of a config.
        batch_size: samples of a process and iteration.
        precision: ``bf16``, ``fp16`` or None.
        given: ``strategy`` of a config, which comes first.

    Raises:
        ValueError: gradients are clipped by value, or it is another stage than 3.
    """
    whole_weights = {'stage3_gather_16bit_weights_on_model_save': True}  # in checkpoints
    zero = {'stage': 3, **whole_weights, **(given.get('zero_optimization') or {})}
    if zero['stage'] != 3:
        raise ValueError(
            f'strategy.zero_optimization.stage is {zero["stage"]!r}; 3 is needed: with accumulated, clipped gradients '
            'stage 2 did not take the steps of ddp'
        )
    settings: dict[str, Any] = {
        'type': _STRATEGY,
        # DeepSpeed's own optimizers are compiled where they are used; torch's do.
        'config': {'zero_allow_untested_optimizer': True, 'zero_force_ds_cpu_optimizer': False},
        'train_micro_batch_size_per_gpu': batch_size,
        'gradient_accumulation_steps': int(wrapper.get('accumulative_counts') or 1),
    }
    clip = dict(wrapper.get('clip_grad') or {})
    if clip:
        if clip.pop('type', 'norm') != 'norm' or clip.pop('norm_type', 2) != 2 or set(clip) != {'max_norm'}:
            raise ValueError('--strategy deepspeed clips gradients by their norm alone: clip_grad=dict(max_norm=...)')
        settings['gradient_clipping'] = float(clip['max_norm'])
    if precision is not None:
        settings[precision] = {'enabled': True}
        settings['inputs_to_half'] = ['inputs']
    return {**settings, **given, 'type': _STRATEGY, 'zero_optimization': zero}


def _precision(amp: str | None) -> str | None:
    """Return what ``--amp`` means here."""
    if amp == 'auto':
        return 'bf16' if on_cpu() else 'fp16'
    if amp == 'fp16' and on_cpu():
        raise ValueError('--amp fp16 needs a GPU, and there is no CUDA here; use --amp bf16')
    return amp


def _check_config(cfg: Any, resume: str | None) -> None:
    """Refuse what DeepSpeed would pass over, or fail at after the start."""
    no = '--strategy deepspeed does not go with'
    if resume or cfg.get('resume'):
        raise ValueError(f'{no} --resume: its checkpoints hold the weights alone')
    if cfg.get('load_from'):
        raise ValueError(f'{no} load_from; give the backbone init_cfg=dict(type="Pretrained", checkpoint=...)')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind != 'OptimWrapper':
        raise ValueError(f'{no} optim_wrapper.type={kind!r}; it has its own: leave it out, and use --amp for precision')
    averaging = [hook for hook in cfg.get('custom_hooks') or () if 'EMAHook' in str(hook.get('type'))]
    if averaging:
        raise ValueError(f'{no} {averaging[0]["type"]}: each process has a part of the weights; leave it out')
    if any('FiniteLossHook' in str(hook.get('type')) for hook in cfg.get('custom_hooks') or ()):
        raise ValueError(f'{no} FiniteLossHook: DeepSpeed takes the steps; leave it out')
