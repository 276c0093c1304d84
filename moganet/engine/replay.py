"""See a batch again whose loss or gradients were not finite."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from .. import compat
from ..names import missing_file
from .amp_option import mend_amp_on_cpu
from .config_file import read_checked
from .diagnosis import Diagnosis, diagnose
from .fill import fill
from .model_build import build_checked


def replay(config: str | Path, saved: str | Path, checkpoint: str | None = None) -> Diagnosis:
    """Compute the loss of a batch that :class:`.hooks.FiniteLossHook` wrote, as the run did, and look at it.

    Args:
        config: that of the run, as it was trained; a run puts it into its work dir.
        saved: the batch, ``not_finite_iter_N_rank_R.pkl``. It is read by Python's own pickle: open only files that
            you trust.
        checkpoint: the weights; None for those of the file, which has them where the run ended with it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no weights are given.
    """
    compat.silence_noise()
    if not Path(saved).is_file():
        raise missing_file('batch', saved, '*.pkl')
    cfg, scope = read_checked(str(config), {}, ('model', 'optim_wrapper'), 'a replay')
    mend_amp_on_cpu(cfg)
    model = revert_sync_batchnorm(build_checked(cfg, scope))  # as a Runner of one process does
    found = torch.load(saved, map_location='cpu', weights_only=False)
    if checkpoint is not None:
        fill(model, checkpoint)
    elif 'weights' in found:
        model.load_state_dict(found['weights'])
    else:
        raise ValueError(f'{saved} has no weights, since its run went on; give those of a checkpoint near it')
    model.to(get_device()).train()
    with DefaultScope.overwrite_default_scope(scope):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)  # for its precision
    return diagnose(model, wrapper.optim_context(model), found['batch'], found['random'])
