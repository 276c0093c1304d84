"""Several processes by the command lines: they compute what one process does on the same data."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from moganet.checkpoints import open_checkpoint

from .tools import LEAVES, TOOLS, call, environment, run, script

LEAF = LEAVES['classification']
# Eight images, no augmentation, nothing random, batch norms as they are: the gradient of a step is the mean over the
# images, however they are shared out. Plain SGD, so that a step is the gradient times the learning rate.
STEP = [
    *('model.backbone.norm_eval=True', 'model.backbone.drop_path_rate=0.0'),
    'model.backbone.layer_scale_init_value=0.1',  # enough that the blocks' gradients count
    *('train_dataloader.num_workers=0', 'train_dataloader.dataset.indices=8', 'train_dataloader.sampler.shuffle=False'),
    *('train_cfg.max_epochs=1', 'val_dataloader.num_workers=0', 'val_dataloader.dataset.indices=4'),
    *('optim_wrapper.optimizer._delete_=True', 'optim_wrapper.optimizer.type=SGD', 'optim_wrapper.optimizer.lr=1.0'),
    *('default_hooks.logger.interval=1', 'default_hooks.checkpoint.interval=1', 'randomness.seed=3'),
    'train_dataloader.batch_size=4',
]


def _write_step_config(folder: Path) -> Path:
    """Write a leaf whose training takes one step on eight images, without augmentation and schedule."""
    config = folder / 'step.py'
    config.write_text(
        f'_base_ = {str(LEAF.config)!r}\n'
        'pipeline = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=(32, 32)), dict(type="PackInputs")]\n'
        'train_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
        'param_scheduler = None\n'
    )
    return config


def _train_here(config: Path, name: str, *options: str) -> dict[str, torch.Tensor]:
    """Take the step in this process; return the weights after it."""
    main = script(TOOLS / 'train.py').main
    arguments = ('--work-dir', name, '--cfg-options', *STEP, f'experiment_name={name}', *options)
    assert call(main, config, *arguments) == 0
    return _weights(name)


def _weights(work_dir: str) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = open_checkpoint(f'{work_dir}/epoch_1.pth').data['state_dict']
    return {name: value for name, value in weights.items() if value.is_floating_point()}


def _compare(ours: dict[str, torch.Tensor], one: dict[str, torch.Tensor]) -> None:
    for name, value in one.items():
        # float32 sums over images in another order; test_steps.py looks at the gradients alone.
        assert float((ours[name] - value).norm()) <= 1e-5 * float(value.norm()), name


def test_two_processes_and_two_nodes_take_the_step_of_one(workplace: Path) -> None:
    config = _write_step_config(workplace)
    one = _train_here(config, 'one', 'optim_wrapper.accumulative_counts=2')
    # Half of the images give another gradient, by far more than is tolerated, so the comparison can fail.
    half = _train_here(config, 'half', 'train_dataloader.dataset.indices=4')
    for part in ('backbone.patch_embed1', 'backbone.blocks2', 'backbone.blocks4', 'head'):
        moved = max((one[name] - half[name]).abs().max().item() for name in one if name.startswith(part))
        assert moved > 1e-3, part

    done = run(TOOLS / 'dist_train.sh', config, 2, '--work-dir', 'two', '--cfg-options', *STEP)
    assert done.stdout.count('loss: ') == 1, done.stdout  # the first process alone prints
    _compare(_weights('two'), one)

    _run_on_two_nodes(TOOLS / 'dist_train.sh', config, '1', '--work-dir', 'nodes', '--cfg-options', *STEP)
    _compare(_weights('nodes'), one)


def test_dist_test_gives_the_metrics_of_one_process(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _write_step_config(workplace)
    # A rate with which the weights stay finite: others are refused.
    _train_here(config, 'run', 'test_dataloader.num_workers=0', 'optim_wrapper.optimizer.lr=0.01')
    capsys.readouterr()
    options = ('--work-dir', 'run', '--cfg-options', 'test_dataloader.batch_size=8', 'experiment_name=alone')
    assert call(script(TOOLS / 'test.py').main, config, 'run/epoch_1.pth', *options) == 0
    alone = capsys.readouterr().out.split('\nresult\n')[1]
    done = run(TOOLS / 'dist_test.sh', config, 'run/epoch_1.pth', 2, *options)
    assert done.stdout.split('\nresult\n')[1] == alone
    assert 'accuracy/top1' in alone


def _run_on_two_nodes(*command: str | Path) -> None:
    """Run a command as two nodes do, each with its launcher; what both of them said is told when one fails or hangs."""
    port = str(_free_port())
    nodes = []
    for rank in ('0', '1'):
        env = environment(NNODES='2', NODE_RANK=rank, MASTER_ADDR='127.0.0.1', PORT=port, PYTHONFAULTHANDLER='1')
        with Path(f'node{rank}.log').open('w') as log:
            nodes.append(subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT))
    try:
        codes = [node.wait(timeout=200) for node in nodes]
    except subprocess.TimeoutExpired:
        for node in nodes:
            node.send_signal(signal.SIGABRT)  # the fault handler writes where each of them is
        codes = [node.wait() for node in nodes]
    assert codes == [0, 0], '\n'.join(Path(f'node{rank}.log').read_text() for rank in (0, 1))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])
