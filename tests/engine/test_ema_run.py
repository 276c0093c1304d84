"""A training that averages its weights: what is tested is the average, and what is resumed is both."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.hooks import EMAHook

from moganet.checkpoints import open_checkpoint
from moganet.engine.launch import TestOptions, TrainOptions, prepare_testing, prepare_training, start

from .test_launch import CONFIG

HOOK = "\ncustom_hooks = [dict(type='EMAHook', momentum=0.5)]\nmodel['backbone'].update(gate_act_twice=True)\n"


def test_the_average_is_tested_and_both_are_resumed(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOGANET_CACHE', str(workplace / 'cache'))
    (workplace / 'narrow.py').write_text(CONFIG.replace("dict(type='SyncBN')", "dict(type='BN')") + HOOK)
    runner = start(prepare_training(TrainOptions('narrow.py', seed=0, cfg_options={'experiment_name': 'one'})))
    runner.train()
    raw = {name: value.clone() for name, value in runner.model.state_dict().items()}
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    average = {name: value.clone() for name, value in hook.ema_model.module.state_dict().items()}
    name = 'head.fc.weight'  # the blocks hardly move in two steps
    assert not torch.equal(raw[name], average[name])

    path = workplace / 'work_dirs' / 'narrow' / 'epoch_1.pth'
    weights = open_checkpoint(path).weights
    assert weights.ema is True and weights.gate_act_twice is True and weights.alternative is not None
    assert torch.equal(weights.state_dict[name], average[name]) and torch.equal(weights.alternative[name], raw[name])

    tested = start(prepare_testing(TestOptions('narrow.py', checkpoint=str(path), work_dir='tested')))
    used: list[torch.Tensor] = []
    tested.model.head.fc.register_forward_pre_hook(lambda layer, _: used.append(layer.weight.clone()))
    tested.test()
    assert used and all(torch.equal(weight, average[name]) for weight in used)

    options = {'train_cfg.max_epochs': 2, 'experiment_name': 'two'}
    resumed = start(prepare_training(TrainOptions('narrow.py', resume='auto', cfg_options=options)))
    resumed._train_loop = resumed.build_train_loop(resumed._train_loop)
    resumed.optim_wrapper = resumed.build_optim_wrapper(resumed.optim_wrapper)
    resumed.call_hook('before_run')
    resumed.load_or_resume()
    (hook,) = (hook for hook in resumed.hooks if isinstance(hook, EMAHook))
    assert all(torch.equal(value, raw[key]) for key, value in resumed.model.state_dict().items())
    assert all(torch.equal(value, average[key]) for key, value in hook.ema_model.module.state_dict().items())
