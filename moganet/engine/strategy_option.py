"""What ``--strategy`` does to a config: how a model is spread over the processes of a run."""

from __future__ import annotations

from typing import Any

from .amp_option import PLAIN_WRAPPERS, apply_amp, mend_amp_on_cpu
from .deepspeed_option import apply_deepspeed
from .sharded_runner import UNREAD, ShardedRunner, advice

STRATEGIES = ('ddp', 'fsdp', 'deepspeed')
SHARDED = ShardedRunner.__name__
_DDP = 'MMDistributedDataParallel'
_OWN_STRATEGIES = {'ddp': 'FullyShardedStrategy', 'fsdp': 'FullyShardedStrategy', 'deepspeed': 'ZeroStrategy'}
# Those that compute number by number, so that a part of a parameter takes the step that it takes in the whole.
SHARDABLE_OPTIMIZERS = ('AdamW', 'Adam', 'SGD', 'Adagrad', 'Adadelta', 'Adamax', 'NAdam', 'RAdam', 'RMSprop')


def apply_precision_and_strategy(cfg: Any, amp: str | None, choice: str | None, resume: str | None) -> list[str]:
    """Do to a config what ``--amp`` and ``--strategy`` say, in place; return what is to be said of it.

    Args:
        cfg: the config.
        amp, choice, resume: the options; DeepSpeed has a precision of its own, and no way to resume.

    Raises:
        ValueError: the machine or the config cannot do it.
    """
    if choice == 'deepspeed':
        _check_agreement(cfg, choice)
        return apply_deepspeed(cfg, amp, resume)
    notes = [apply_amp(cfg, amp)] if amp else mend_amp_on_cpu(cfg)
    strategy = chosen_strategy(cfg, choice)
    return notes + (apply_strategy(cfg, strategy) if strategy else [])


def chosen_strategy(cfg: Any, choice: str | None) -> str | None:
    """Return how a config's model is spread: as the option says, or as its ``runner_type`` does; None for neither."""
    return choice or ('fsdp' if cfg.get('runner_type') == SHARDED else None)


def apply_strategy(cfg: Any, choice: str) -> list[str]:
    """Have a config's model spread over the processes, in place; return what is to be said of it.

    Args:
        cfg: the config, with what ``--amp`` makes of it.
        choice: ``ddp``, every process has the whole model, which is what is done without a word; or ``fsdp``, every
            process has a part of it.

    Raises:
        ValueError: the config says otherwise, or has what cannot be sharded.
    """
    _check_agreement(cfg, choice)
    if choice == 'ddp':
        unsharded(cfg)
        return []
    unread = [key for key in UNREAD if cfg.get(key)]
    if unread:
        raise ValueError(f'--strategy {choice} does not go with {unread[0]}; {advice(unread[0])}')
    _check_optimizer(cfg.optim_wrapper, choice)
    cfg.runner_type = SHARDED
    cfg.pop('model_wrapper_cfg', None)
    return ["fsdp: each process keeps a part of the parameters, gradients and optimizer's state"]


def unsharded(cfg: Any) -> None:
    """Have a config run by processes that have the whole model each, in place: a test is."""
    if cfg.get('runner_type') == SHARDED:
        cfg.runner_type = 'ResumableRunner'
        cfg.pop('strategy', None)


def check_launched(cfg: Any, launcher: str) -> None:
    """Refuse to shard a model in a process that no launcher has started.

    Raises:
        ValueError: so it is.
    """
    zero = cfg.get('strategy') and cfg.strategy.get('type') == _OWN_STRATEGIES['deepspeed']
    if (zero or cfg.get('runner_type') == SHARDED) and launcher == 'none':
        choice = 'deepspeed' if zero else 'fsdp'
        raise ValueError(
            f'--strategy {choice} shards a model over processes, and this is a single one; start them by '
            f'tools/dist_train.sh CONFIG GPUS --strategy {choice}'
        )


def _check_agreement(cfg: Any, choice: str) -> None:
    """Refuse a config that spreads its model in another way."""
    runner = cfg.get('runner_type', 'Runner')
    if runner not in ('Runner', 'ResumableRunner', SHARDED):
        raise ValueError(f'--strategy {choice} replaces runner_type={runner!r}, which has its own way; leave one out')
    given = (cfg.get('strategy') or {}).get('type', _OWN_STRATEGIES[choice])
    if getattr(given, '__name__', given) != _OWN_STRATEGIES[choice]:
        raise ValueError(
            f'--strategy {choice} replaces strategy.type={given!r} of the config; leave one out, or train under '
            "runner_type='FlexibleRunner', MMEngine's own"
        )
    wrapper = (cfg.get('model_wrapper_cfg') or {}).get('type', _DDP)
    if getattr(wrapper, '__name__', wrapper) != _DDP:
        raise ValueError(f'--strategy {choice} replaces model_wrapper_cfg.type={wrapper!r}; leave one of them out')


def _check_optimizer(wrapper: Any, choice: str) -> None:
    kind = wrapper.get('type', 'OptimWrapper')
    if kind not in PLAIN_WRAPPERS:
        raise ValueError(
            f'--strategy {choice} does not go with optim_wrapper.type={kind!r}; allowed: {", ".join(PLAIN_WRAPPERS)}'
        )
    optimizer = (wrapper.get('optimizer') or {}).get('type')
    if optimizer not in SHARDABLE_OPTIMIZERS:
        raise ValueError(
            f'--strategy {choice}: optim_wrapper.optimizer.type={optimizer!r} is not known to take the step of a whole '
            f'parameter when it has a part of it; allowed: {", ".join(SHARDABLE_OPTIMIZERS)}'
        )
