"""From parsed options and a config to a Runner that is ready to start.

Everything that can be known to be wrong is found by :func:`prepare_training` and :func:`prepare_testing`, before a
folder is made or a process group started; their errors are the user's and are told in one line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn

from .. import compat
from ..checkpoints import Checkpoint, holds_moganet, open_checkpoint
from ..evaluation.metrics import DumpSegResults
from ..models.fused import fuse
from .config_file import read_checked
from .data_check import check_data
from .drawing import check_visualizer
from .exporting import check_exportable, check_format
from .faults import Circumstances, told_as_faults
from .fill import fill, fill_pretrained
from .model_build import build_checked
from .network import name_interface
from .parts_check import check_optimizer, check_parts
from .restart import check_agreement, own_checkpoint
from .resume import check_resumable, latest_checkpoint
from .runner import ResumableRunner
from .settings_check import check_settings
from .strategies.sharded import check_shardable
from .strategy_option import SHARDED, apply_precision_and_strategy, check_launched, unsharded
from .tta import apply_tta
from .work_dir import ensure_writable, ensure_writable_together

# What each launcher sets in the processes that it starts.
_LAUNCHER_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'),
}
# Weights, their gradients' two moments in AdamW: what one checkpoint holds, in numbers a parameter.
_CHECKPOINT_COPIES = 3


@dataclass(frozen=True)
class RunOptions:
    """What ``tools/train.py`` and ``tools/test.py`` have in common; see their ``--help``."""

    config: str
    work_dir: str | None = None
    cfg_options: dict[str, Any] = field(default_factory=dict)
    launcher: str = 'none'
    seed: int | None = None
    deterministic: bool = False


@dataclass(frozen=True)
class TrainOptions(RunOptions):
    """The options of ``tools/train.py``; ``resume`` and ``amp`` are None, ``'auto'`` or a value."""

    resume: str | None = None
    amp: str | None = None
    strategy: str | None = None
    auto_scale_lr: bool = False
    preflight: bool = False


@dataclass(frozen=True)
class TestOptions(RunOptions):
    """The options of ``tools/test.py``."""

    checkpoint: str = ''
    tta: bool = False
    fused: bool = False
    backend: str | None = None
    show_dir: str | None = None
    out: str | None = None

    __test__ = False  # the name does not make it a test for pytest


@dataclass
class Plan:
    """A config that is checked and completed, and what a user should know of it before it starts."""

    cfg: Any
    parameters: int
    notes: list[str]


def prepare_training(options: TrainOptions, started: bool = True) -> Plan:
    """Check and complete the config of a training run; build nothing but the model, write nothing but a probe.

    Args:
        options: of ``tools/train.py``.
        started: whether this is a process of the run; what starts them asks before it does.

    Raises:
        ValueError, KeyError, FileNotFoundError: the options or the config are wrong; told in one line.
    """
    cfg, scope, notes = training_config(options)
    if started:
        check_launched(cfg, options.launcher)
    check_data(cfg, splits_of_training(cfg))
    model = build_parts(cfg, scope)
    notes += fill_for_training(cfg, model, options)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    cfg.work_dir = str(ensure_writable(cfg.work_dir, '--work-dir', parameters * 4 * _CHECKPOINT_COPIES))
    return Plan(cfg, parameters, notes)


def training_config(options: TrainOptions) -> tuple[Any, str, list[str]]:
    """Read, check and complete the config of a training run; return it, its toolbox, and what to tell the user.

    Raises:
        ValueError, KeyError, FileNotFoundError: the options or the config are wrong; told in one line.
    """
    cfg, scope, notes = _common(options, ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper'), 'training')
    if options.preflight and options.strategy == 'deepspeed':
        raise ValueError("the preflight cannot take a step of DeepSpeed's; make it without --strategy deepspeed")
    notes += apply_precision_and_strategy(cfg, options.amp, options.strategy, options.resume)
    if options.auto_scale_lr:
        _auto_scale_lr(cfg)
    return cfg, scope, notes


def splits_of_training(cfg: Any) -> tuple[str, ...]:
    """Return which data a training run reads: ``train``, and ``val`` if it validates."""
    return ('train',) if cfg.get('val_cfg') is None else ('train', 'val')


def build_parts(cfg: Any, scope: str, data: bool = True) -> nn.Module:
    """Build what a training run builds, each part once, without data; return the model.

    Args:
        cfg: from :func:`training_config`.
        scope: its toolbox.
        data: whether the data are there.

    Raises:
        ValueError, KeyError: a part cannot be built; told in one line.
    """
    check_parts(cfg, scope, splits_of_training(cfg), data)
    model = build_checked(cfg, scope)
    if cfg.get('runner_type') == SHARDED:
        check_shardable(model)
    check_optimizer(cfg, scope, model)
    return model


def fill_for_training(cfg: Any, model: nn.Module, options: TrainOptions) -> list[str]:
    """Fill a model with what its training begins or goes on with, and have the Runner read the same; return reports.

    Raises:
        ValueError, KeyError, FileNotFoundError: a checkpoint cannot be had, or does not fill the model.
    """
    notes = _resume(cfg, options.resume or _configured_resume(cfg), model)
    if not cfg.resume:
        notes += fill_pretrained(cfg, model)
        if cfg.get('load_from'):
            cfg.load_from, report = fill(model, cfg.load_from, new_parts=True)
            notes.append(str(report))
    return notes


def prepare_testing(options: TestOptions) -> Plan:
    """Check and complete the config of a test run, and the checkpoint against its model.

    Raises:
        ValueError, KeyError, FileNotFoundError: the options, the config or the checkpoint are wrong; told in one line.
    """
    if options.out and not options.out.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--out {options.out}: predictions are written as a pickle; give a name that ends in .pkl')
    if options.fused and options.backend:
        raise ValueError(f'--fused --backend {options.backend}: what is exported is the fused form; leave --fused out')
    cfg, scope, notes = _common(options, ('model', 'test_dataloader', 'test_cfg', 'test_evaluator'), 'testing')
    unsharded(cfg)
    check_data(cfg, ('test',))
    check_parts(cfg, scope, ('test',))
    model = build_checked(cfg, scope)
    cfg.load_from, report = fill(model, options.checkpoint)
    cfg.resume = False
    notes.append(str(report))
    if options.fused:
        _fuse(cfg, model)
    if options.backend:
        notes.append(_serve_by(options.backend, cfg, model))
    if options.tta:
        notes.append(apply_tta(cfg, scope))
    folders = [(cfg.work_dir, '--work-dir')]
    if options.out:
        out = os.path.abspath(os.path.expanduser(options.out))
        folders.append((os.path.dirname(out), '--out, in'))
        _dump_predictions(cfg, out, scope)
    if options.show_dir:
        check_visualizer(str((cfg.get('visualizer') or {}).get('type')))
        show_dir = os.path.abspath(os.path.expanduser(options.show_dir))
        folders.append((show_dir, '--show-dir'))
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'PictureHook', 'out_dir': show_dir}]
    cfg.work_dir = str(ensure_writable_together(folders)[0])
    return Plan(cfg, sum(parameter.numel() for parameter in model.parameters()), notes)


def start(plan: Plan) -> Runner:
    """Build the Runner of a prepared plan: from here on files are written and processes talk to each other."""
    cfg = plan.cfg
    name_interface()
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    with told_as_faults(lambda: Circumstances(cfg.work_dir)), compat.config_laid_out_once():
        compat.init_cpu_process_group(cfg.launcher, dist_cfg.get('timeout'))
        # A config may name a Runner of its own, as the toolboxes' tools allow.
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else ResumableRunner.from_cfg(cfg)
    check_agreement(cfg)
    return runner


def finish() -> None:
    """Leave the process group, all processes together.

    A process that goes while another still listens to it may take that one's last message with it; the one left behind
    fails, or waits for minutes.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _common(options: RunOptions, needed: tuple[str, ...], purpose: str) -> tuple[Any, str, list[str]]:
    """Read and check a config, and put in what training and testing share."""
    compat.silence_noise()
    _check_processes(options.launcher)
    cfg, scope = read_checked(options.config, options.cfg_options, needed, purpose)
    check_settings(cfg)
    cfg.launcher = options.launcher
    work_dir = options.work_dir or cfg.get('work_dir') or os.path.join('work_dirs', Path(options.config).stem)
    cfg.work_dir = os.path.expanduser(work_dir)  # bash leaves `--work-dir=~/run` as it is
    _randomness(cfg, options)
    _loaders(cfg, scope)
    notes: list[str] = []
    if compat.on_cpu():
        compat.cpu_dataloaders(cfg)
        if options.launcher != 'none':
            compat.cpu_model_wrapper(cfg)
            cfg.pop('sync_bn', None)
            if compat.sync_bn_to_bn(cfg.model):
                notes.append('no CUDA: SyncBN runs as BN, each process by itself')
    return cfg, scope, notes


def _check_processes(launcher: str) -> None:
    """Refuse a launcher that did not start this process, and more processes on this machine than it has GPUs."""
    missing = [name for name in _LAUNCHER_VARIABLES.get(launcher, ()) if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {launcher} needs {", ".join(missing)} in the environment; start the processes by '
            'tools/dist_train.sh, tools/dist_test.sh or torchrun, or leave --launcher out for one process'
        )
    # Slurm may show each of its tasks a GPU of its own, so their number says nothing there.
    variable = {'pytorch': 'LOCAL_WORLD_SIZE', 'mpi': 'OMPI_COMM_WORLD_LOCAL_SIZE'}.get(launcher, '')
    processes = int(os.environ.get(variable, '1'))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and processes > gpus:
        raise ValueError(f'{processes} processes for {gpus} GPU(s) on this machine; start at most {gpus}')


def _randomness(cfg: Any, options: RunOptions) -> None:
    chosen = dict(cfg.get('randomness') or {})
    if options.seed is not None:
        if not 0 <= options.seed < 2**32:
            raise ValueError(f'--seed {options.seed}: a number from 0 to 2**32 - 1 is needed')
        chosen['seed'] = options.seed
    if options.deterministic:
        chosen['deterministic'] = True
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # cuBLAS needs it to repeat itself
    chosen.setdefault('seed', None)
    cfg.randomness = chosen


def _loaders(cfg: Any, scope: str) -> None:
    """Fill in the loaders as the toolbox's own train.py does, and mend what a changed ``num_workers`` breaks."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if not loader:
            continue
        if scope == 'mmpretrain':
            for key, value in (('pin_memory', True), ('collate_fn', {'type': 'default_collate'})):
                loader.setdefault(key, value)
            loader.setdefault('persistent_workers', True)
        if not loader.get('num_workers'):
            loader['persistent_workers'] = False  # torch refuses persistent workers where there are none
            loader.pop('prefetch_factor', None)


def _auto_scale_lr(cfg: Any) -> None:
    scaling = cfg.get('auto_scale_lr') or {}
    if 'base_batch_size' not in scaling:
        raise KeyError(
            '--auto-scale-lr: the config has no auto_scale_lr.base_batch_size, the batch that its learning rate is for;'
            ' give it by --cfg-options auto_scale_lr.base_batch_size=N'
        )
    cfg.auto_scale_lr = {**scaling, 'enable': True}


def _configured_resume(cfg: Any) -> str | None:
    """Return what ``resume=True`` of a config means: MMEngine reads ``load_from`` for the checkpoint to resume from."""
    return (cfg.get('load_from') or 'auto') if cfg.get('resume') else None


def _resume(cfg: Any, resume: str | None, model: nn.Module) -> list[str]:
    """Set what a run resumes from, and check that it can."""
    cfg.resume = False
    foreign = not holds_moganet(model)
    checkpoint, notes = own_checkpoint(cfg.work_dir, foreign)
    if checkpoint is None:
        if resume is None:
            return notes
        checkpoint, more = _checkpoint_to_resume(cfg, resume, foreign)
        notes += more
        if checkpoint is None:
            return notes
    cfg.load_from, _ = fill(model, checkpoint)
    cfg.resume = True
    return [*notes, f'resuming from {checkpoint.path}']


def _checkpoint_to_resume(cfg: Any, resume: str, foreign: bool) -> tuple[Checkpoint | None, list[str]]:
    if resume != 'auto':
        checkpoint = open_checkpoint(resume, foreign=foreign)
        check_resumable(checkpoint.data, resume)
        return checkpoint, []
    found, notes = latest_checkpoint(cfg.work_dir, foreign=foreign)
    if found is None:
        weights = f' from the weights of {cfg.load_from}' if cfg.get('load_from') else ''
        notes = [f'--resume: {cfg.work_dir} has no checkpoint yet, so training starts at the beginning{weights}']
    return found, notes


def _fuse(cfg: Any, model: nn.Module) -> None:
    try:
        fuse(model.eval())
    except ValueError as error:
        raise ValueError(f'--fused: {error}') from error
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'FuseHook'}]


def _serve_by(backend: str, cfg: Any, model: nn.Module) -> str:
    """Have a test run the model in another runtime; return what to tell of it."""
    try:
        check_format(backend)
        note = check_exportable(model.eval(), 'network', fused=True)
    except ValueError as error:
        raise ValueError(f'--backend {backend}: {error}') from error
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'BackendHook', 'format': backend}]
    return f'--backend {backend}: the fused form is exported, held to torch, and evaluated{f"; {note}" if note else ""}'


def _dump_predictions(cfg: Any, out: str, scope: str) -> None:
    kinds = {'mmdet': 'DumpDetResults', 'mmseg': DumpSegResults.__name__}
    dump = {'type': kinds.get(scope, 'DumpResults'), 'out_file_path': out}
    metrics = cfg.test_evaluator
    cfg.test_evaluator = [*(metrics if isinstance(metrics, (list, tuple)) else [metrics]), dump]
