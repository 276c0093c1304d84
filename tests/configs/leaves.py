"""What the tests of the configs share: the leaves, and building what they describe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

REPO = Path(__file__).resolve().parents[2]
CONFIGS = REPO / 'configs'
LEAVES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob('[!_]*/*.py'))
TINY = [leaf for leaf in LEAVES if 'tiny-' in leaf.rsplit('_', 1)[-1]]
TASKS = ('classification', 'detection', 'segmentation', 'pose')
ENTRIES = {
    model['Config'].removeprefix('configs/'): model
    for task in TASKS
    for model in yaml.safe_load((CONFIGS / task / 'metafile.yml').read_text(encoding='utf-8'))['Models']
}
# Rows that are in none of the authors' tables: protocols of ours, custom data, one GPU.
OURS = [leaf for leaf in LEAVES if ENTRIES.get(leaf, {}).get('Note', '').startswith('ours: ')]
BENCHMARKS = [leaf for leaf in LEAVES if leaf not in TINY and leaf not in OURS]
ARCHS = {'xt': 'xtiny', 't': 'tiny', 's': 'small', 'b': 'base', 'l': 'large', 'xl': 'xlarge'}


def find(part: str) -> str:
    """The one leaf whose name contains a part; a row of ours only where no other has it."""
    found = [leaf for leaf in LEAVES if part in leaf]
    (leaf,) = [leaf for leaf in found if leaf not in OURS] or found
    return leaf


def read(leaf: str) -> Config:
    """Read a leaf and enter its toolbox's scope, as a Runner does."""
    cfg = Config.fromfile(CONFIGS / leaf)
    __import__(cfg.default_scope)
    init_default_scope(cfg.default_scope)
    return cfg


def arch_of(leaf: str) -> str:
    """The variant in a leaf's name, spelled out."""
    named = re.search(r'moganet-(\w+?)_', leaf)
    assert named, leaf
    return ARCHS.get(named[1], named[1])


def build_model(cfg: Config, device: str = 'cpu') -> nn.Module:
    """Build a config's model with random weights, or on the device ``meta`` with none; nothing is downloaded."""
    model = cfg.model.copy()
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with torch.device(device):
        return MODELS.build(model)


def decays(cfg: Config, model: nn.Module) -> dict[str, float]:
    """Weight decay of each parameter by name, read from the optimizer that the config builds."""
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {names[id(p)]: group['weight_decay'] for group in optimizer.param_groups for p in group['params']}
    assert found.keys() == set(names.values())
    return found


def dataset(cfg: Config, split: str, root: Path, **changes: Any) -> Any:
    """Build the dataset of a split with another root."""
    from mmengine.registry import DATASETS

    wanted = cfg[f'{split}_dataloader'].dataset.copy()
    wanted.update(data_root=str(root), **changes)
    return DATASETS.build(wanted)
