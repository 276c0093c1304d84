#!/usr/bin/env python
"""Train, evaluate and draw on the tiny sets of real images, with the very tools and configs that the benchmarks use.

    python tools/misc/demo.py --task classification

Data go to data/tiny, results to work_dirs/demo/<task>, both below the current folder. A demo that was interrupted goes
on where it stopped; --fresh starts anew. Detection, segmentation and pose start from the weights of the classification
demo, which is run first where it has not been.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

TOOLS = Path(__file__).resolve().parents[1]
ROOT = TOOLS.parent
DATA = Path('data/tiny')
RESULTS = Path('work_dirs/demo')


@dataclass(frozen=True)
class Task:
    """A leaf config of the tiny data, by a pattern that names one file, and what its demo aims at."""

    leaf: str
    metric: str
    aim: float


TASKS = {
    'classification': Task('classification/moganet-xtiny_*tiny-imagenet*.py', 'accuracy/top1', 99.0),
    'detection': Task('detection/retinanet_*tiny-coco*.py', 'coco/bbox_mAP_50', 0.50),
    'segmentation': Task('segmentation/*sem-fpn*tiny-ade20k*.py', 'mIoU', 70.0),
    'pose': Task('pose/td-hm_*tiny-coco*.py', 'coco/AP', 0.50),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f'error: {message}\n')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--task', choices=[*TASKS, 'all'], default='classification', help='default: classification')
    add('--fresh', action='store_true', help='remove the results of an earlier demo of the task first')
    add('--size', default='demo', help='size of the data, see make_tiny.py')
    add('--options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config of --task in training')
    args = parser.parse_args(argv)
    if args.options and args.task == 'all':
        parser.error('--options: name the one task that they are for, --task TASK')
    return args


def run(command: list[str | Path]) -> list[str]:
    """Run a command, show what it prints as it comes, and return its lines.

    Raises:
        subprocess.CalledProcessError: its exit code is not 0.
    """
    words = [str(word) for word in command]
    print(f'\n$ {shlex.join(words)}', flush=True)
    paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
    environment = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': os.pathsep.join(paths)}
    lines = []
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end='', flush=True)
            lines.append(line.rstrip('\n'))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return lines


def leaf_of(task: str) -> Path:
    """Return the config of a task's demo."""
    found = sorted((ROOT / 'configs').glob(TASKS[task].leaf))
    if len(found) != 1:
        raise FileNotFoundError(f'one config is needed for the {task} demo, and {TASKS[task].leaf} names {len(found)}')
    return found[0]


def processes_of(leaf: Path, gpus: int) -> tuple[int, list[str]]:
    """Return how many processes a leaf is run in, and the options that go with it.

    The leaf's name tells for how many it was made: ``2xb8`` is two, with a batch of eight each. With fewer GPUs than
    that each takes more pictures, so that the total stays. Without a GPU that many processes share the processor.

    Args:
        leaf: the config.
        gpus: how many torch can see.
    """
    named = re.search(r'_(\d+)xb(\d+)', leaf.stem)
    if named is None:
        raise ValueError(f'{leaf.name} does not tell its processes and batch, as in _2xb8')
    processes, batch = int(named[1]), int(named[2])
    if not gpus or gpus >= processes:
        return processes, []
    return gpus, [f'train_dataloader.batch_size={processes * batch // gpus}']


def count_gpus() -> int:
    """Return how many GPUs torch can see."""
    import torch  # takes seconds, and a slip in the command line is told without it

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def noted_checkpoint(work_dir: Path, note: str) -> Path | None:
    """Return the checkpoint that a file of a work dir names, if it is there."""
    if not (work_dir / note).is_file():
        return None
    checkpoint = work_dir / Path((work_dir / note).read_text(encoding='utf-8').strip()).name
    return checkpoint if checkpoint.is_file() else None


def trained(task: str) -> Path | None:
    """Return the checkpoint of a task whose training came to its end."""
    return noted_checkpoint(RESULTS / task, 'trained')


def make_data(tasks: list[str], size: str) -> None:
    """Make the data of some tasks; what is there is kept."""
    converter = TOOLS / 'dataset_converters' / 'make_tiny.py'
    run([sys.executable, converter, '--out', DATA, '--size', size, '--tasks', *tasks])


def train(task: str, options: list[str]) -> Path:
    """Train one task to its end, or go on with what is there; return the checkpoint."""
    work_dir = RESULTS / task
    done = trained(task)
    if done is not None:
        if options:
            raise ValueError(f'{task} is trained already, {done}; with --options it is trained anew by --fresh')
        print(f'\n{task}: trained already, {done}; --fresh starts anew', flush=True)
        return done
    if task != 'classification':
        weights = trained('classification')
        if weights is None:
            raise FileNotFoundError(f'{RESULTS}/classification holds no finished training; run that demo first')
        init = {'_delete_': True, 'type': 'Pretrained', 'checkpoint': weights, 'prefix': 'backbone.'}
        options = [f'model.backbone.init_cfg.{key}={value}' for key, value in init.items()] + options
    processes, batch = processes_of(leaf_of(task), count_gpus())
    options = batch + options
    command: list[str | Path] = [TOOLS / 'dist_train.sh', leaf_of(task), str(processes)]
    command += ['--work-dir', work_dir, '--seed', '0', '--resume']
    run([*command, *(['--cfg-options', *options] if options else [])])
    checkpoint = noted_checkpoint(work_dir, 'last_checkpoint')  # written by MMEngine
    if checkpoint is None:
        raise FileNotFoundError(f'the training of {task} left no checkpoint in {work_dir}')
    (work_dir / 'trained').write_text(checkpoint.name, encoding='utf-8')
    return checkpoint


def test(task: str, checkpoint: Path) -> tuple[float, Path]:
    """Evaluate a checkpoint; return the metric of the task and the folder of pictures."""
    work_dir = RESULTS / task
    pictures = work_dir / 'pictures'
    shutil.rmtree(pictures, ignore_errors=True)
    processes, _ = processes_of(leaf_of(task), count_gpus())
    command: list[str | Path] = [TOOLS / 'dist_test.sh', leaf_of(task), checkpoint, str(processes)]
    lines = run([*command, '--work-dir', work_dir, '--show-dir', pictures])
    name = TASKS[task].metric
    results = lines[len(lines) - lines[::-1].index('result') :] if 'result' in lines else []
    for line in results:
        # Names may hold spaces; two at least stand before the value.
        key, _, value = line.partition('  ')
        if key.strip() == name:
            return float(value), pictures
    raise ValueError(f'the test of {task} printed no {name}')


def demo(task: str, options: list[str]) -> str:
    """Run one task's demo; return its summary."""
    started = time.monotonic()
    value, pictures = test(task, train(task, options))
    minutes = (time.monotonic() - started) / 60
    aim = TASKS[task]
    reached = 'reached' if value >= aim.aim else 'not reached'
    shown = sorted(pictures.glob('*.png'))
    lines = [f'{task}: {aim.metric} {value:g} (aim {aim.aim:g}: {reached}), {minutes:.1f} minutes']
    lines += [f'  pictures, truth beside prediction: {pictures} ({len(shown)})']
    # From all over the test set: a folder may begin with a hundred pictures of one class.
    lines += [f'    {picture}' for picture in shown[:: max(1, len(shown) // 4)][:4]]
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the demos asked for; return the exit code."""
    args = parse_args(argv)
    tasks = list(TASKS) if args.task == 'all' else [args.task]
    summaries: list[str] = []
    try:
        if args.fresh:
            for task in tasks:
                shutil.rmtree(RESULTS / task, ignore_errors=True)
        if tasks[0] != 'classification' and trained('classification') is None:
            print(f'the {tasks[0]} demo starts from the weights of the classification demo, which is run first')
            tasks.insert(0, 'classification')
        make_data(tasks, args.size)
        for task in tasks:
            summaries.append(demo(task, args.options if task == args.task else []))
    except subprocess.CalledProcessError as error:
        print(f'error: {Path(error.cmd[0]).name} ended with exit code {error.returncode}', file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('error: interrupted; the same line goes on from the last checkpoint', file=sys.stderr)
        return 130
    finally:
        if summaries:
            print('\n' + '\n'.join(summaries), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
