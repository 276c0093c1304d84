"""MogaNet among timm's models: after ``import moganet.timm``, ``timm.create_model('moganet_tiny', pretrained=True)``.

Weights never go through timm's reader, which sees neither whether a file is whole nor how often its gate is activated:
they come through :mod:`moganet.checkpoints`. What was released is tagged by its writer, ``moganet_tiny.timm_in1k_256``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from .checkpoints import Checkpoint, open_checkpoint, zoo
from .models import MogaNetClassifier
from .optional import missing
from .pretrained import fill_new, tell

try:
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    from timm.models import (
        adapt_input_conv,
        build_model_with_cfg,
        generate_default_cfgs,
        register_model,
        resolve_pretrained_cfg,
    )
except (ImportError, OSError, RuntimeError) as error:  # torchvision's operators fail with the last
    raise missing(__name__, 'timm', error) from error

# timm adds the names that it registers.
__all__ = ['default_cfgs']

_FIRST = 'backbone.patch_embed1.projection.0'
_ROW = re.compile(r'moganet-(\w+)_\d+xb\d+(?:-(refined))?_in1k(?:-(\d+)px)?')
# Of a folder in timm's layout.
_WEIGHT_FILES = ('model.safetensors', 'pytorch_model.bin')


def _describe_released() -> dict[str, dict[str, Any]]:
    """Return timm's description of each released classifier that is tested on a crop of 0.9, by model and tag.

    Those of ResNet strikes back's recipe have another crop and no tag, nor have those whose gate nobody knows.
    """
    described = {}
    for file in zoo.released('classification'):
        row = _ROW.fullmatch(file.model)
        if row is None or file.gate_act_twice is None:
            continue
        arch, recipe, side = row[1], row[2], int(row[3] or 224)
        writer = file.name.rpartition('_3rdparty-')[2].replace('-', '_')
        tag = '_'.join(filter(None, (writer, recipe, 'in1k', row[3])))
        default = '*' if zoo.find(f'moganet-{arch}_in1k').name == file.name else ''
        described[f'moganet_{arch}.{tag}{default}'] = {
            'url': file.url,
            'num_classes': 1000,
            'input_size': (3, side, side),
            'pool_size': (side // 32, side // 32),
            'crop_pct': 0.9,
            'interpolation': 'bicubic',
            'mean': IMAGENET_DEFAULT_MEAN,
            'std': IMAGENET_DEFAULT_STD,
            'first_conv': _FIRST,
            'classifier': 'head.fc',
            'license': 'apache-2.0',
            'paper_ids': 'arXiv:2211.03295',
            'paper_name': 'MogaNet: Multi-order Gated Aggregation Network',
            'origin_url': 'https://github.com/Westlake-AI/MogaNet',
        }
    return described


default_cfgs = generate_default_cfgs(_describe_released())


def _create(
    name: str,
    pretrained: bool,
    *,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: Mapping[str, Any] | None = None,
    cache_dir: str | Path | None = None,
    gate_act_twice: bool | None = None,
    **options: Any,
) -> nn.Module:
    """Build a model as timm builds its own, filled before timm wraps it for features.

    Args:
        name: the model's, without a tag.
        pretrained: fill it from what its description names.
        pretrained_cfg, pretrained_cfg_overlay: a description or its tag, and what of it is to be other.
        cache_dir: must not be given: the cache is our own.
        gate_act_twice: for weights that do not say it, and for those that are loaded later.
        **options: of timm's own builder, such as ``features_only``, and of :class:`MogaNetClassifier`.

    Raises:
        KeyError, ValueError, FileNotFoundError: the weights cannot be had, are damaged, or do not fill the model.
    """
    described = {'pretrained_cfg': pretrained_cfg, 'pretrained_cfg_overlay': pretrained_cfg_overlay}
    build = functools.partial(MogaNetClassifier, name.removeprefix('moganet_'), gate_act_twice=gate_act_twice)
    if pretrained:
        if cache_dir is not None:
            raise ValueError(f'cache_dir={cache_dir}: MogaNet has a cache of its own; name its folder in MOGANET_CACHE')
        checkpoint = open_checkpoint(_location(name, resolve_pretrained_cfg(name, **described)))
        build = functools.partial(
            _build_filled,
            checkpoint,
            arch=name.removeprefix('moganet_'),
            gate_act_twice=gate_act_twice,
            new_classes='num_classes' in options,
            features_only=bool(options.get('features_only')),
        )
    return build_model_with_cfg(
        build,
        name,
        pretrained=False,  # it is filled when it is built
        feature_cfg={'out_indices': (0, 1, 2, 3), 'feature_cls': 'getter'},
        **described,
        **options,
    )


def _build_filled(
    checkpoint: Checkpoint,
    *,
    arch: str,
    gate_act_twice: bool | None,
    new_classes: bool,
    features_only: bool,
    in_chans: int = 3,
    **options: Any,
) -> MogaNetClassifier:
    if features_only:
        options['num_classes'] = 0
    model = fill_new(
        lambda twice: MogaNetClassifier(arch, in_chans=in_chans, gate_act_twice=twice, **options),
        _with_channels(checkpoint, in_chans),
        gate_act_twice=gate_act_twice,
        new_parts=new_classes,
    ).train()  # as timm hands its models out
    # timm writes these into what it saves, and gives them back when it builds a model for that.
    model._model_args = {'gate_act_twice': model.backbone.gate_act_twice}  # type: ignore[assignment]
    return model


def _with_channels(checkpoint: Checkpoint, in_chans: int) -> Checkpoint:
    """Return a checkpoint for pictures of another number of channels, its first convolution changed as timm does."""
    weights = checkpoint.weights
    first = weights.state_dict.get(f'{_FIRST}.weight')
    if first is None or first.ndim != 4 or first.shape[1] != 3 or in_chans == 3:
        return checkpoint
    tell(f'note: {_FIRST} is changed from 3 channels to {in_chans}, as timm does it')
    state_dict = weights.state_dict.copy()
    state_dict[f'{_FIRST}.weight'] = adapt_input_conv(in_chans, first)
    return replace(checkpoint, weights=replace(weights, state_dict=state_dict))


def _location(name: str, cfg: Any) -> str:
    """Return where the weights that timm's description of a model names are; its order of precedence is timm's."""
    if cfg.source == 'local-dir':
        folder = Path(cfg.file)
        found = next((folder / file for file in _WEIGHT_FILES if (folder / file).is_file()), None)
        if found is None:
            raise FileNotFoundError(f'{folder} has none of {", ".join(_WEIGHT_FILES)}')
        return str(found)
    if cfg.state_dict:
        raise ValueError('weights in memory are not checked: model.load_state_dict(...) takes them')
    if cfg.file and cfg.source != 'hf-hub':
        return str(cfg.file)
    if cfg.hf_hub_id:
        raise ValueError(
            f"{cfg.hf_hub_id}: timm's download from the Hugging Face hub is not used for MogaNet; "
            f'moganet.hub.MogaNetForImageClassification.from_pretrained({cfg.hf_hub_id!r}) reads what was saved by it'
        )
    if not cfg.url:
        raise ValueError(f'{name}: no weights are named, neither file nor url; pretrained=False for random ones')
    return str(cfg.url)


@register_model
def moganet_xtiny(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """MogaNet-XT; see :class:`moganet.models.MogaNetClassifier` for the arguments."""
    return _create('moganet_xtiny', pretrained, **kwargs)


@register_model
def moganet_tiny(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """MogaNet-T."""
    return _create('moganet_tiny', pretrained, **kwargs)


@register_model
def moganet_small(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """MogaNet-S."""
    return _create('moganet_small', pretrained, **kwargs)


@register_model
def moganet_base(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """MogaNet-B."""
    return _create('moganet_base', pretrained, **kwargs)


@register_model
def moganet_large(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """MogaNet-L."""
    return _create('moganet_large', pretrained, **kwargs)


@register_model
def moganet_xlarge(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """MogaNet-XL."""
    return _create('moganet_xlarge', pretrained, **kwargs)
