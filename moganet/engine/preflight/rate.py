"""The learning rate against the batch."""

from __future__ import annotations

import math

from ..config_file import read_config
from .result import OK, WARNING, NotRunError
from .subject import Subject

# A rate that is wrong by less is told and no reason to warn.
_FACTOR = 1.25


def check_rate(subject: Subject) -> tuple[str, str]:
    """Compare the batch of a step with the one that the rate is for, by the linear rule.

    ``auto_scale_lr.base_batch_size`` is GPUs x batch of the config as it is written; how many batches it accumulates
    belongs to the recipe. MMEngine's scaling does not see accumulation.

    Raises:
        NotRunError: the config does not say which batch its rate is for.
    """
    subject.needs_config()
    cfg, options = subject.cfg, subject.options
    scaling = cfg.get('auto_scale_lr') or {}
    base, rate = scaling.get('base_batch_size'), (cfg.optim_wrapper.get('optimizer') or {}).get('lr')
    if not base or rate is None:
        raise NotRunError('the config has no auto_scale_lr.base_batch_size, or no single rate')
    written = read_config(options.config, {}).get('optim_wrapper') or {}
    batch, wanted = subject.gpus * subject.batch, int(base) * int(written.get('accumulative_counts') or 1)
    whole, enabled = batch * subject.accumulated, bool(scaling.get('enable'))
    rate, scaled = float(rate), float(rate) * batch / int(base)
    right, used = rate * whole / wanted, scaled if enabled else rate
    accumulated = f' x {subject.accumulated} accumulated' if subject.accumulated > 1 else ''
    text = f'{subject.gpus} x {subject.batch}{accumulated} = {whole} pictures a step, lr={rate:g} is for {wanted}'
    if enabled:
        text += f'; --auto-scale-lr is on and makes it {used:g}'
    if math.isclose(used, right):
        return OK, text
    advice = f'--cfg-options optim_wrapper.optimizer.lr={right:g}' + (' without --auto-scale-lr' if enabled else '')
    if math.isclose(scaled, right):
        advice = '--auto-scale-lr does so'
    text += f'; by the linear rule it is {right:g}: {advice}'
    return (WARNING if max(used / right, right / used) > _FACTOR else OK), text
