"""The zoo from Python: its configs, and models that are ready to use."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoints import Checkpoint, LoadReport, load, open_checkpoint
from .checkpoints.zoo import config_path, find, list_models

__all__ = ['get_config', 'get_model', 'list_models']


def get_config(name: str) -> Any:
    """Return the config of a model, an :class:`mmengine.config.Config`.

    Args:
        name: a row of the zoo, an alias or a released file's name, see :func:`list_models`; or the path of a config.

    Raises:
        KeyError: nothing is called so; the message names the nearest.
        FileNotFoundError: no such file.
    """
    from .engine.config_file import read_config

    given = Path(name).expanduser()
    return read_config(str(given if given.suffix == '.py' else config_path(name)), {})


def get_model(
    name: str,
    pretrained: bool | str | Path | Checkpoint = False,
    *,
    device: str | torch.device = 'cpu',
    strict: bool = True,
    **changes: Any,
) -> nn.Module:
    """Build a model, and fill it from a released checkpoint or one of your own.

    How often the gates are activated follows from the checkpoint, unless ``backbone=dict(gate_act_twice=...)`` says it.

    Args:
        name: a row of the zoo, an alias or a released file's name; or the path of a config.
        pretrained: True for the file that the name stands for, or a path, a URL or a name of the zoo, or what
            :func:`moganet.checkpoints.open_checkpoint` returned.
        device: where the model is to be.
        strict: refuse a checkpoint that does not fill the model; see :func:`moganet.checkpoints.load`.
        **changes: what of ``model`` in the config is to be other, such as ``head=dict(num_classes=10)``. A last layer
            for another number of classes stays as initialised.

    Returns:
        The toolbox's model, in evaluation mode. ``model.load_report`` says what was loaded; None without a checkpoint.

    Raises:
        KeyError: nothing is called so, or a key of ``changes`` is unknown; the message names the nearest.
        ValueError, FileNotFoundError: ``changes`` do not go with the config; or the checkpoint cannot be had, is
            damaged, or does not fill the model.
    """
    from .engine.config_check import check_types, import_toolbox, require_keys
    from .engine.model_build import build_checked

    cfg = get_config(name)
    require_keys(cfg, ('model',), 'a model')
    checkpoint = None
    if pretrained:
        given = _recommended(name) if pretrained is True else pretrained
        checkpoint = given if isinstance(given, Checkpoint) else open_checkpoint(given)
        twice = checkpoint.weights.gate_act_twice
        if twice is not None and 'backbone' in cfg.model:
            cfg.model.backbone.gate_act_twice = twice
    try:
        cfg.merge_from_dict({'model': copy.deepcopy(changes)})  # it takes `_delete_` out of what it is given
    except (KeyError, TypeError, AttributeError, AssertionError, IndexError, ValueError) as error:
        reason = error.args[0] if error.args else error
        raise ValueError(f'{", ".join(changes)} cannot be merged into the model of {name}: {reason}') from error
    if 'backbone' in cfg.model:
        cfg.model.backbone.init_cfg = None  # the checkpoint has it, or nobody asked for it
    scope = cfg.get('default_scope') or 'mmengine'
    import_toolbox(scope)
    check_types(cfg, scope)
    model: Any = build_checked(cfg, scope)  # a Module takes no attribute of another type
    report: LoadReport | None = None
    if checkpoint is not None:
        report = load(model, checkpoint, strict=strict, new_parts=bool(changes)).without_weights()
    model.load_report = report
    return model.to(device).eval()


def _recommended(name: str) -> str:
    """Return the name of the released file that a model's name stands for."""
    if name.endswith('.py'):
        raise ValueError(f'pretrained=True: a config ({name}) has no released file; give pretrained=CHECKPOINT')
    return find(name).name
