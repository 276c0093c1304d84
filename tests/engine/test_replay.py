"""A batch that was not finite is seen again as the run saw it, and two runs of one seed are one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook
from torch import Tensor

from moganet.engine.faults import NotFiniteError
from moganet.engine.launch import TrainOptions, prepare_training, start
from moganet.engine.replay import replay

from .test_launch import CONFIG
from .toy import same, weights

# Stochastic depth and mixing draw random numbers in the model, and cutting in the data.
RANDOM = """
model.update(train_cfg=dict(augments=dict(type='Mixup', alpha=0.8)))
model['backbone'].update(drop_path_rate=0.5, layer_scale_init_value=1.0)
data_preprocessor = dict(num_classes=10)
pipeline[1:2] = [dict(type='RandomResizedCrop', scale=32), dict(type='RandomFlip', prob=0.5)]
"""


class SpoilGradient(Hook):
    """Make one gradient of an iteration NaN, and keep the terms of its loss."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.losses: dict[str, Tensor] = {}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.at:
            model, parse = runner.model, runner.model.parse_losses
            model.parse_losses = lambda losses: self.losses.update(losses) or parse(losses)
            model.head.fc.weight.register_hook(lambda gradient: gradient * math.nan)


@pytest.fixture
def config(workplace: Path) -> str:
    (workplace / 'narrow.py').write_text(CONFIG + RANDOM)
    return 'narrow.py'


def train(config: str, work_dir: str, seed: int, hook: Hook | None = None, **options: Any) -> Any:
    # MMEngine names what it keeps of a run by config and second.
    options = {'experiment_name': work_dir, **options.pop('cfg_options', {})}
    run = start(prepare_training(TrainOptions(config, work_dir=work_dir, seed=seed, cfg_options=options)))
    if hook is not None:
        run.register_hook(hook)
    run.train()
    return run


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_a_saved_batch_has_the_loss_that_it_had(config: str, workplace: Path, precision: str) -> None:
    wrapper = {'optim_wrapper.type': 'CpuAmpOptimWrapper'} if precision == 'bfloat16' else {}
    hook = SpoilGradient(1)
    with pytest.raises(NotFiniteError, match='a gradient of iteration 2 is not finite') as caught:
        train(config, 'run', 3, hook, cfg_options=wrapper)
    saved = 'run/not_finite_iter_2_rank_0.pkl'
    assert caught.value.args[0].endswith(f'The batch: {workplace / saved}')
    found = replay('run/narrow.py', saved)
    was = float(hook.losses['loss'].detach())
    # Without gradients half precision may take kernels that round otherwise.
    assert found.losses == {'loss': pytest.approx(was, rel=1e-5 if precision == 'bfloat16' else 0)} and was > 0
    assert len(found.files) == 4 and all(Path(file).is_file() for file in found.files)
    assert 'so in the gradients' in str(found)


def test_a_batch_that_was_left_out_is_seen_with_the_weights_of_a_checkpoint(config: str, workplace: Path) -> None:
    guard = {'custom_hooks': [{'type': 'FiniteLossHook', 'action': 'skip'}]}
    train(config, 'run', 3, SpoilGradient(1), cfg_options=guard)
    saved = 'run/not_finite_iter_2_rank_0.pkl'
    with pytest.raises(ValueError, match='has no weights, since its run went on; give those of a checkpoint'):
        replay('run/narrow.py', saved)
    assert replay('run/narrow.py', saved, 'run/epoch_1.pth').losses['loss'] > 0
    with pytest.raises(FileNotFoundError, match=f'no such batch: run/not_finite_iter_3.*near it: {saved}'):
        replay('run/narrow.py', 'run/not_finite_iter_3_rank_0.pkl')


def test_two_runs_of_one_seed_are_one_bit_for_bit(config: str) -> None:
    """Weights and logged losses, without workers and with two; another seed is another run."""
    runs = [
        train(config, f'run{number}', seed, cfg_options={'train_dataloader.num_workers': workers})
        for number, (seed, workers) in enumerate([(3, 0), (3, 0), (3, 2), (4, 0)])
    ]
    found = [(weights(run), _losses(run)) for run in runs]
    for other, losses in found[1:3]:
        assert same(found[0][0], other) and losses == found[0][1] and len(losses) == 2
    assert not same(found[0][0], found[3][0]) and found[3][1] != found[0][1]


def _losses(run: Any) -> list[float]:
    (file,) = Path(run.work_dir).glob('*/vis_data/scalars.json')
    return [line['loss'] for line in map(json.loads, file.read_text().splitlines()) if 'loss' in line]
