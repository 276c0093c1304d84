"""Work-arounds for foreign packages, one function each, with the reason for it.

Nothing here is done to a config file: the configs stay what the toolboxes' own tools read. :func:`register_scopes` and
:func:`allow_resume_globals` run when ``moganet`` is imported; the others are applied by :mod:`moganet.engine.launch` to
the one run that it starts.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import logging
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.device import get_device
from torch.utils import _python_dispatch

from .checkpoints.allowed import file_globals
from .checkpoints.unpickler import RestrictedUnpickler

# Synchronised batch norms that torch and the toolboxes run on a GPU only.
_SYNC_NORMS = frozenset({'SyncBN', 'MMSyncBN', 'NaiveSyncBN2d', 'SyncBatchNorm'})


def register_scopes() -> None:
    """Let ``_base_ = ['mmseg::...']`` and ``['moganet::...']`` find their packages.

    MMEngine looks a scope up in a table of distribution names, where mmseg stands under the name of the original
    distribution; the maintained fork is called otherwise, and MMEngine then says that mmseg is not installed. Under its
    import name it is found in both.
    """
    MODULE2PACKAGE['mmseg'] = 'mmseg'
    MODULE2PACKAGE['moganet'] = 'moganet'


def cpu_autocast_enabled() -> bool:
    """Whether the code runs under autocast for processors; torch before 2.4 asks for that under a name of its own."""
    return torch.is_autocast_enabled('cpu') if _AUTOCAST_BY_DEVICE else torch.is_autocast_cpu_enabled()


def is_watched() -> bool:
    """Whether a mode sees every operator of torch, so that other steps have to stay away; there is no public name."""
    return _python_dispatch._get_current_dispatch_mode() is not None


def is_traced(x: torch.Tensor) -> bool:
    """Whether a tensor stands for others: in a graph that is compiled, exported or traced, or in a transformation.

    Transformations are those of ``torch.func``, and forward-mode differentiation. Torch before 2.3 has no public name
    for the first, and none has one for transformations: this is what ``torch.autograd.Function.apply`` asks itself.
    """
    if _is_compiling():
        return True
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing or torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0


def autocast_dtype(device: str) -> torch.dtype | None:
    """The dtype of autocast for a kind of device, None where it is off; torch before 2.4 has a name for each kind."""
    if _AUTOCAST_BY_DEVICE:
        on = device != 'meta' and torch.is_autocast_enabled(device)
        return torch.get_autocast_dtype(device) if on else None
    if device == 'cpu':
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
    return torch.get_autocast_gpu_dtype() if device == 'cuda' and torch.is_autocast_enabled() else None


def sizes_of_one() -> contextlib.AbstractContextManager[None]:
    """Have ``torch.export`` make no rule, within it, of whether a size is one; torch has that for itself alone.

    A program that was traced with larger maps would refuse pictures of which the last map is one pixel high.
    """
    from torch.fx.experimental import _config

    if not hasattr(_config, 'backed_size_oblivious'):
        return contextlib.nullcontext()
    patch: Any = _config.patch  # type: ignore[attr-defined]  # made when the module is imported
    return patch(backed_size_oblivious=True)


def allow_resume_globals() -> None:
    """Let torch's weights-only reader read what MMEngine writes into a checkpoint beside the weights.

    Original MMEngine fails on ``--resume`` with torch >= 2.6 (weights-only is the default there), and the fork falls
    back to the unsafe reader with a warning, because its own list lacks numpy's dtype classes. Before 2.6 torch reads
    everything unsafely by default and takes no list of named objects (2.1 has no ``add_safe_globals`` at all).
    """
    if torch_version() < (2, 6):
        return
    # All with their names: what is given without, the fork takes off the list again after each of its own readings.
    named: list[Any] = [(value, name) for name, value in file_globals().items()]
    torch.serialization.add_safe_globals(named)


def restricted_pickle() -> ModuleType:
    """Return what ``torch.load(pickle_module=...)`` takes, building nothing but what a checkpoint may name.

    Before 2.6 torch's weights-only reader takes no list of named objects (2.1 has no list at all), and refuses whatever
    MMEngine or timm write beside the weights; all that is left to give it is an unpickler.
    """

    def load(file: IO[bytes], **options: Any) -> Any:
        return RestrictedUnpickler(file, **options).load()

    module = ModuleType('restricted_pickle')
    vars(module).update(Unpickler=RestrictedUnpickler, load=load, UnpicklingError=pickle.UnpicklingError)
    return module


def torch_version() -> tuple[int, int]:
    """Return torch's major and minor version: ``(2, 13)`` for ``2.13.0+cpu``."""
    major, minor = torch.__version__.split('.')[:2]
    return int(major), int(minor)


# Asked once, because torch's compiler follows what is asked in a forward pass.
_AUTOCAST_BY_DEVICE = torch_version() >= (2, 4)
_is_compiling = getattr(torch.compiler, 'is_compiling', None) or torch._utils.is_compiling


def on_cpu() -> bool:
    """Whether a run here computes on the CPU, as MMEngine will decide it."""
    return str(get_device()) == 'cpu'


def init_cpu_process_group(launcher: str, timeout_s: float | None = None) -> None:
    """Start ``torch.distributed`` with gloo, before the Runner does it, when there is no accelerator.

    MMEngine sets a CUDA device for every backend, gloo included, and dies without CUDA. It leaves alone a process group
    that already stands.

    Args:
        launcher: ``pytorch``, ``slurm`` or ``mpi``; what started the processes.
        timeout_s: how long one collective may take, seconds; torch's own default when None.
    """
    if launcher == 'none' or not on_cpu() or torch.distributed.is_initialized():
        return
    if launcher == 'slurm':
        _set_ranks('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')
        if 'MASTER_ADDR' not in os.environ:
            nodes = os.environ.get('SLURM_NODELIST', '')
            listed = subprocess.run(['scontrol', 'show', 'hostname', nodes], capture_output=True, text=True, check=True)
            os.environ['MASTER_ADDR'] = listed.stdout.split()[0]
    elif launcher == 'mpi':
        _set_ranks('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')
    os.environ.setdefault('MASTER_PORT', '29500')  # torch's and MMEngine's default
    torch.distributed.init_process_group('gloo', **waiting(timeout_s))


def waiting(seconds: float | None) -> dict[str, Any]:
    """Return the argument of torch's process groups for how long a collective may take; torch 2.1 takes no None for it.

    Args:
        seconds: torch's own default when None.
    """
    return {} if seconds is None else {'timeout': datetime.timedelta(seconds=seconds)}


def _set_ranks(rank: str, world_size: str, local_rank: str) -> None:
    """Copy a launcher's own variables to the names that torch reads."""
    for ours, theirs in (('RANK', rank), ('WORLD_SIZE', world_size), ('LOCAL_RANK', local_rank)):
        if theirs in os.environ:
            os.environ[ours] = os.environ[theirs]
    os.environ.setdefault('LOCAL_RANK', '0')


def cpu_model_wrapper(cfg: Any) -> None:
    """Have the Runner wrap the model for CPU processes: it always passes a device id, which DDP refuses on the CPU."""
    wrapper = dict(cfg.get('model_wrapper_cfg') or {})
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    wrapper.setdefault('broadcast_buffers', False)
    wrapper.setdefault('find_unused_parameters', cfg.get('find_unused_parameters', False))
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


def sync_bn_to_bn(node: Any) -> int:
    """Turn every synchronised batch norm of a config into plain ``BN``, in place; return how many there were.

    torch has no SyncBN on the CPU. For one process MMEngine reverts the layers itself; for several it does not.
    """
    count = 0
    if isinstance(node, dict):
        if node.get('type') in _SYNC_NORMS:
            node['type'] = 'BN'
            count += 1
        children: list[Any] = list(node.values())
    else:
        children = list(node) if isinstance(node, (list, tuple)) else []
    return count + sum(sync_bn_to_bn(child) for child in children)


def cpu_dataloaders(cfg: Any) -> None:
    """Pin no memory where there is no GPU to copy to: torch warns about it in every loader."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            cfg[name]['pin_memory'] = False


def plain_radius(visualizer: Any) -> None:
    """Let mmpose's visualizer draw its dots under numpy >= 2.4.

    It passes the radius as an array of one element and calls ``int()`` on it, which numpy has stopped to allow.
    """
    draw = visualizer.draw_circles
    if getattr(draw, 'takes_arrays', False):
        return

    def draw_circles(center: Any, radius: Any, *args: Any, **kwargs: Any) -> Any:
        return draw(center, np.asarray(radius).reshape(-1)[0], *args, **kwargs)

    draw_circles.takes_arrays = True  # type: ignore[attr-defined]
    visualizer.draw_circles = draw_circles


def tuple_palette(visualizer: Any) -> None:
    """Let mmdet's visualizer draw in a palette of lists, which mmseg wants: it takes a list for many colours."""
    meta = visualizer.dataset_meta or {}
    if meta.get('palette'):
        visualizer.dataset_meta = {**meta, 'palette': [tuple(colour) for colour in meta['palette']]}


class Noise(NamedTuple):
    """One message of a foreign package that tells a user nothing: how it is given out, and a part of its text."""

    channel: str  # 'warning' (Python's warnings), 'log' (MMEngine's logger) or 'print'
    phrase: str


NOISE = (
    Noise('print', 'Could not import OneDL'),  # the forks of mmseg: an optional, commercial data set
    Noise('log', '"FileClient" will be deprecated'),  # MMEngine's own hooks call it
    Noise('log', '"HardDiskBackend" is the alias'),  # the same
    Noise('log', 'The prefix is not set in metric class'),  # mmdet's and mmseg's own metrics
    Noise('log', 'has no metainfo. ``dataset_meta`` in visualizer'),  # harmless, on data sets of one's own
    # Not lost: moganet.engine.loops brings gradients under way back, or says that it cannot.
    Noise('log', 'Resumed iteration number is not divisible by'),
    Noise('warning', 'faster_coco_eval is not installed'),  # an optional metric of mmdet's fork
    Noise('warning', 'Failed to load image Python extension'),  # torchvision's image.so; images come through OpenCV
    Noise('warning', 'Default ``avg_non_ignore`` is False'),  # mmseg's own default
    Noise('warning', 'The metainfo config file'),  # mmpose finds it in its own package, as it should
    Noise('warning', 'Fail to import ``MultiScaleDeformableAttention``'),  # an mmcv without operators: classification's
    Noise('warning', "Only use 'alpha' for pillow backend"),  # mmcv, of its own ColorJitter
    Noise('warning', 'Setting OMP_NUM_THREADS environment variable'),  # set by moganet.engine.processes
    Noise('warning', 'Setting MKL_NUM_THREADS environment variable'),  # the same
    Noise('warning', 'The draw is False, it means that the hook for visualization'),  # mmseg's default
    Noise('warning', 'The shape of value will convert from'),  # mmseg's merging of augmentations
    Noise('warning', '`broadcast_buffers` is deprecated'),  # MMEngine passes it to torch
    Noise('warning', 'Detected call of `scheduler.step()` before'),  # so it is with accumulated gradients
    # On a processor maps are channels last, and so are the gradients of the weights; DDP copies either kind.
    Noise('warning', 'Grad strides do not match bucket view strides'),
    Noise('warning', 'dataset_meta` or class names are not saved'),  # mmengine's guess from a checkpoint's meta
)

# MMEngine opens every run with hundreds of lines of these. They stay in the log file.
LOG_FILE_ONLY = (
    *('System environment:', 'Config:\n', 'Hooks will be executed in the following order', 'paramwise_options -- '),
    *('Exp name: ', 'Distributed training is not used, all SyncBatchNorm'),
)


def silence_noise() -> None:
    """Ignore the warnings named in :data:`NOISE`, and no other, from here on."""
    for pattern in noise_patterns():
        warnings.filterwarnings('ignore', message=pattern)


def noise_patterns() -> list[str]:
    """Return regular expressions for the beginnings of the warnings named in :data:`NOISE`."""
    return [rf'(?s).*{_escape(noise.phrase)}' for noise in NOISE if noise.channel == 'warning']


def _escape(phrase: str) -> str:
    # re.escape would escape spaces as well, and the filter is read by people in `python -W`-like dumps.
    return ''.join(f'\\{char}' if char in r'.^$*+?{}[]\|()' else char for char in phrase)


class ConsoleFilter(logging.Filter):
    """Keep MMEngine's dumps and the noise of the toolboxes off the console; the log file keeps everything."""

    _quiet = LOG_FILE_ONLY + tuple(noise.phrase for noise in NOISE if noise.channel == 'log')

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the console shows this record."""
        # The first lines suffice to recognise a record, and a dumped config may quote any phrase of the list.
        head = record.getMessage()[:400]
        return not any(phrase in head for phrase in self._quiet)


def quiet_console(logger: logging.Logger) -> None:
    """Put :class:`ConsoleFilter` on the handlers of a logger that write to the console."""
    for handler in logger.handlers:
        to_console = isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
        if to_console and not any(isinstance(existing, ConsoleFilter) for existing in handler.filters):
            handler.addFilter(ConsoleFilter())


@contextlib.contextmanager
def checkpointing_of_shapes() -> Iterator[None]:
    """Let blocks be checkpointed that are given tensors of torch's ``meta`` device, which have a shape and no values.

    Torch 2.1 takes the device's name for a module of its own, and there is no ``torch.meta``; it is told what it takes
    for tensors on a processor.
    """
    if torch_version() >= (2, 2):
        yield
        return
    from torch.utils import checkpoint

    module: Any = checkpoint
    infer = module._infer_device_type

    def infer_known(*args: Any) -> str:
        found = str(infer(*args))
        return str(module.DefaultDeviceType.get_device_type()) if found == 'meta' else found

    module._infer_device_type = infer_known
    try:
        yield
    finally:
        module._infer_device_type = infer


@contextlib.contextmanager
def config_laid_out_once() -> Iterator[None]:
    """Let MMEngine's Runner lay out the text of a config once.

    It asks yapf for the same text three times, for its log, its visualizer and its work dir; each takes seconds where a
    config names the 150 classes of ADE20K. The original holds the function in its module, the fork asks yapf each time.
    """
    from mmengine.config import config as mmengine_config
    from yapf.yapflib import yapf_api

    holder: Any = mmengine_config if hasattr(mmengine_config, 'FormatCode') else yapf_api
    original, texts = holder.FormatCode, {}

    def laid_out(text: str, **options: Any) -> Any:
        key = text, repr(options)
        if key not in texts:
            texts[key] = original(text, **options)
        return texts[key]

    holder.FormatCode = laid_out
    try:
        yield
    finally:
        holder.FormatCode = original


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import a toolbox within this block: lines printed on import that :data:`NOISE` names are dropped."""
    phrases = tuple(noise.phrase for noise in NOISE if noise.channel == 'print')
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines(keepends=True):
            if not any(phrase in line for phrase in phrases):
                sys.stdout.write(line)
