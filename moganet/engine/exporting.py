"""From a config and a checkpoint to a model that is exported."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS
from torch import nn

from .. import compat
from ..analysis import described_model
from ..deployment import Exported, export_model, network_of
from ..deployment.formats import Format, find_format, need
from ..deployment.tracing import output_names
from ..deployment.writers import DEFAULT_OPSET, check_opset
from ..models.fused import fuse
from .config_file import read_checked
from .data_check import datasets_of
from .faults import RunFault
from .fill import fill
from .model_build import build_checked
from .sample_pictures import given_pictures, test_pictures
from .work_dir import ensure_writable


@dataclass(frozen=True)
class ExportOptions:
    """The options of ``tools/deployment/export.py``; see its ``--help``."""

    config: str
    checkpoint: str
    format: str = 'onnx'
    out: str | None = None
    fused: bool = True
    shape: tuple[int, int] | None = None
    images: Sequence[str] = ()
    part: str = 'network'
    opset: int | None = None
    cfg_options: dict[str, Any] = field(default_factory=dict)


def prepare_export(options: ExportOptions) -> tuple[list[str], Callable[[], Exported]]:
    """Check everything that can be checked before a network is traced.

    Args:
        options: of the command line.

    Returns:
        What the user is told first, and the work; it raises :class:`RunFault` where the export fails.

    Raises:
        ValueError, KeyError, FileNotFoundError: an option, the config or the checkpoint is wrong, the pictures for the
            check cannot be had, or what the format needs is not installed; told in one line.
    """
    compat.silence_noise()
    form = check_format(options.format)
    if options.opset is not None:
        _check_opset(options.opset, form)
    out = _check_out(options, form)
    _check_shape(options.shape)
    cfg, scope = read_checked(options.config, options.cfg_options, ('model',), 'an export')
    compat.sync_bn_to_bn(cfg.model)
    model = build_checked(cfg, scope)
    _, report = fill(model, options.checkpoint)
    check_exportable(model.eval(), options.part, options.fused, options.shape)
    pictures = (
        given_pictures(cfg, scope, model, options.images) if options.images else test_pictures(cfg, scope, model)
    )
    ensure_writable(out.parent, '--out, in', sum(parameter.numel() for parameter in model.parameters()) * 8)

    def work() -> Exported:
        with exporting():
            return export_model(
                model, form, out, pictures, part=options.part, fused=options.fused, shape=options.shape,
                opset=options.opset or DEFAULT_OPSET, metadata=described(cfg, options.config),
            )  # fmt: skip

    return [str(report)], work


def check_format(name: str) -> Format:
    """Return a format, what writes and runs it being installed.

    Raises:
        ValueError: it is unknown, or something is missing; the message has the line that installs it.
    """
    form = find_format(name)
    try:
        need((*form.writes, *form.reads), f'the format {name}')
    except ImportError as error:
        raise ValueError(str(error)) from error
    return form


def check_exportable(model: nn.Module, part: str, fused: bool, shape: tuple[int, int] | None = None) -> str:
    """Refuse a model that cannot be exported, before a minute is spent on tracing it; return a note for the user.

    Raises:
        ValueError: it has no MogaNet, or one that cannot be fused; or it takes no pictures of that shape.
    """
    network, note = network_of(model, part)
    if fused:
        try:
            fuse(model)
        except ValueError as error:
            raise ValueError(f'{error}. tools/deployment/export.py --no-fused exports it as it is') from error
    if shape is not None:
        try:
            output_names(network, shape)
        except ValueError as error:
            raise ValueError(f'--shape {shape[0]} {shape[1]}: {error}') from error
    return note


@contextlib.contextmanager
def exporting() -> Iterator[None]:
    """Export within it: what cannot be exported, or differs from torch, is a fault that is told in one line.

    Raises:
        RunFault: it cannot.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        raise RunFault(str(error)) from error


def described(cfg: Any, config: str) -> dict[str, str]:
    """Return what a file tells of a config: its name, the normalisation of its pictures, and its classes."""
    preprocessor = described_model(cfg).get('data_preprocessor') or {}
    found = {'config': Path(config).stem}
    for key in ('mean', 'std', 'to_rgb', 'bgr_to_rgb'):
        if preprocessor.get(key) is not None:
            found[key] = json.dumps(preprocessor[key])
    classes = _classes(cfg)
    if classes:
        found['classes'] = json.dumps(classes)
    return found


def _classes(cfg: Any) -> list[str]:
    """Return the names of the classes, where the config or the class of its test data has them."""
    for _, dataset in datasets_of((cfg.get('test_dataloader') or {}).get('dataset'), ''):
        named = (dataset.get('metainfo') or {}).get('classes')
        if not named:
            cls = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
            named = (getattr(cls, 'METAINFO', None) or {}).get('classes')
        if named:
            return [str(name) for name in named]
    return []


def _check_opset(opset: int, form: Format) -> None:
    if form.name == 'torch-export':
        raise ValueError(f'--opset {opset} is for onnx and openvino; torch-export has no such versions')
    check_opset(opset)


def _check_out(options: ExportOptions, form: Format) -> Path:
    if options.out is None:
        stem = Path(options.config).stem
        return Path('work_dirs', stem, f'{stem}{form.suffix}')
    out = Path(options.out).expanduser()
    if out.suffix != form.suffix:
        raise ValueError(f'--out {options.out}: a file of {form.name} has a name that ends in {form.suffix}')
    if out.is_dir():
        raise ValueError(f'--out {options.out} is a folder; give the name of a file in it')
    return out


def _check_shape(shape: tuple[int, int] | None) -> None:
    if shape is not None and min(shape) < 1:
        raise ValueError(f'--shape {shape[0]} {shape[1]}: height and width of at least 1 pixel are needed')
