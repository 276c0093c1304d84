"""Every leaf is built by its own toolbox's Runner, and takes a step of training and one of evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moganet.engine import config_check
from moganet.engine.fit_check import check_fit_of_parts

from .leaves import LEAVES, arch_of, build_model, read
from .small import on_tiny_data, step_runner

# What takes gigabytes and many seconds goes without numbers: built here, run by the counter in test_metafiles.
HEAVY = [leaf for leaf in LEAVES if arch_of(leaf) in ('large', 'xlarge')]


@pytest.mark.parametrize('leaf', LEAVES)
def test_check(leaf: str) -> None:
    """What tools/misc/check_config.py asks of the types and arguments that a config names."""
    cfg = read(leaf)
    config_check.check_top_level(list(cfg.keys()))
    config_check.check_types(cfg, cfg.default_scope)


@pytest.mark.parametrize('leaf', HEAVY)
def test_parts_of_a_heavy_model(leaf: str) -> None:
    cfg = read(leaf)
    check_fit_of_parts(cfg, build_model(cfg, 'meta'))


@pytest.mark.parametrize('leaf', [leaf for leaf in LEAVES if leaf not in HEAVY])
def test_one_step_of_training_and_one_of_evaluation(leaf: str, tiny: Path, tmp_path: Path) -> None:
    cfg = on_tiny_data(read(leaf), tiny)
    cfg.model.backbone.init_cfg = None  # nothing is downloaded
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    runner, changed = step_runner(cfg, tmp_path)
    assert bool(changed) == (accumulated == 1)
    if cfg.val_cfg is None:  # ImageNet-21K has no validation set
        return
    runner.model.eval()
    loop = runner.val_loop
    batch = next(iter(loop.dataloader))
    with torch.no_grad():
        found = runner.model.val_step(batch)
    assert len(found) == 1
    loop.evaluator.process(data_samples=found, data_batch=batch)
    metrics = loop.evaluator.evaluate(1)
    # COCO's metric gives none where nothing is found, as may be with random weights.
    assert metrics or len(found[0].pred_instances) == 0
