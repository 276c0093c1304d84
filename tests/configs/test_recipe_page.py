"""docs/recipes.md says what the configs do: every cell of a table with a `config` column is held to that config."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from .leaves import ENTRIES, LEAVES, REPO, read

PAGE = (REPO / 'docs' / 'recipes.md').read_text(encoding='utf-8')


def _rows() -> list[tuple[str, dict[str, str]]]:
    """Each row of a table with a ``config`` column: the leaf, and its cells by column."""
    rows = []
    for block in re.findall(r'(?:^\|.*\n)+', PAGE, flags=re.M):
        head, _, *body = [[cell.strip() for cell in line.strip('|\n ').split('|')] for line in block.splitlines()]
        if head[0] != 'config':
            continue
        for row in body:
            found = re.fullmatch(r'\[(\S+)\]\(\.\./configs/(\S+)\)', row[0])
            assert found and found[2].endswith(f'/{found[1]}.py'), row[0]
            rows.append((found[2], dict(zip(head[1:], row[1:], strict=True))))
    return rows


def _augmentation(cfg: Any) -> str:
    for step in cfg.train_dataloader.dataset.pipeline:
        for inner in [step, *(choice[0] for choice in step.get('transforms', []))]:
            if inner.type == 'RandAugment':
                return f'RandAugment {inner.magnitude_level}'
            if inner.type == 'Solarize' or inner.type == 'RandomGrayscale':
                return '3-Augment'
    raise AssertionError('no augmentation is known')


def _hook(cfg: Any, name: str) -> bool:
    return name in {hook.type for hook in cfg.custom_hooks}


def _spared(cfg: Any) -> bool:
    return 'layer_scale' in cfg.optim_wrapper.paramwise_cfg.get('custom_keys', {})


def _batch(cfg: Any) -> int:
    return cfg.auto_scale_lr.base_batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)


COLUMNS: dict[str, Callable[[str, Any], str]] = {
    'recipe': lambda leaf, cfg: ENTRIES[leaf]['Recipe']['Framework'].split()[0],
    'gate activated': lambda leaf, cfg: 'twice' if cfg.model.backbone.get('gate_act_twice') else 'once',
    "BN's statistics": lambda leaf, cfg: {(True, False): 'averaged', (False, True): 'taken anew'}[
        _hook(cfg, 'SyncBuffersHook'), _hook(cfg, 'PreciseBNHook')],
    'scales decayed': lambda leaf, cfg: 'no' if _spared(cfg) else 'yes',
    'average': lambda leaf, cfg: 'yes' if _hook(cfg, 'EMAHook') else 'no',
    'augmentation': lambda leaf, cfg: _augmentation(cfg),
    'epochs': lambda leaf, cfg: str(cfg.train_cfg.max_epochs),
    'iterations': lambda leaf, cfg: str(cfg.train_cfg.max_iters),
    'batch': lambda leaf, cfg: str(_batch(cfg)),
    'rate': lambda leaf, cfg: f'{cfg.optim_wrapper.optimizer.lr:.10g}',
    'weight decay': lambda leaf, cfg: f'{cfg.optim_wrapper.optimizer.weight_decay:.10g}',
    'drop path': lambda leaf, cfg: f'{cfg.model.backbone.drop_path_rate:.10g}',
    'decay of the rate by depth': lambda leaf, cfg: str(
        cfg.optim_wrapper.get('paramwise_cfg', {}).get('layer_decay_rate', 'no')),
}


@pytest.mark.parametrize('leaf, cells', _rows())
def test_row(leaf: str, cells: dict[str, str]) -> None:
    assert leaf in LEAVES
    cfg = read(leaf)
    assert cells == {column: COLUMNS[column](leaf, cfg) for column in cells}


def test_every_task_has_its_rows() -> None:
    assert {leaf.split('/')[0] for leaf, _ in _rows()} == {'classification', 'detection', 'segmentation', 'pose'}


def test_links_lead_somewhere() -> None:
    for page in (REPO / 'docs').glob('*.md'):
        for target in re.findall(r'\]\((?!http)([^)#]+)\)', page.read_text(encoding='utf-8')):
            assert (page.parent / target).exists(), f'{page.name}: {target}'
