"""The driver of ``make demo``, small."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .tools import LEAVES, TOOLS, call, environment, run, script

DEMO = TOOLS / 'misc' / 'demo.py'


def test_classification_then_segmentation_from_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ['--size', 'small', '--options']
    done = run(sys.executable, DEMO, '--task', 'classification', *small, *LEAVES['classification'].options)
    assert (tmp_path / 'work_dirs/demo/classification/trained').read_text() == 'epoch_1.pth'
    summary = done.stdout.split('\n\nclassification: accuracy/top1 ')[1]
    assert '(aim 99: ' in summary and 'work_dirs/demo/classification/pictures' in summary

    done = run(sys.executable, DEMO, '--task', 'segmentation', *small, *LEAVES['sem-fpn'].options)
    # Classification is not trained again, and its weights are where segmentation starts.
    assert done.stdout.count('dist_train.sh') == 1
    trained = tmp_path / 'work_dirs/demo/classification/epoch_1.pth'
    assert f'load model from: moganet://{trained}' in done.stdout
    assert '\nsegmentation: mIoU ' in done.stdout
    assert list((tmp_path / 'work_dirs/demo/segmentation/pictures').glob('*.png'))


def test_a_failed_step_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = (sys.executable, DEMO, '--size', 'small', '--options', 'model.backbone.arch=none')
    done = run(*command, env=environment(), code=1)
    told = done.stderr.strip().splitlines()
    assert told[0].startswith('error: model.backbone: ') and "arch is 'none'" in told[0]
    assert told[1] == 'error: dist_train.sh ended with exit code 2'
    assert not (tmp_path / 'work_dirs').exists()


def test_options_are_for_one_training_that_is_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    demo = script(DEMO)
    assert call(demo.main, '--task', 'all', '--options', 'train_cfg.max_epochs=1') == 2
    assert capfd.readouterr().err.startswith('error: --options: name the one task')
    monkeypatch.chdir(tmp_path)
    done = tmp_path / 'work_dirs' / 'demo' / 'pose'
    done.mkdir(parents=True)
    (done / 'trained').write_text('epoch_4.pth')
    (done / 'epoch_4.pth').touch()
    assert demo.train('pose', []) == Path('work_dirs/demo/pose/epoch_4.pth')
    with pytest.raises(ValueError, match='pose is trained already.*--fresh'):
        demo.train('pose', ['train_cfg.max_epochs=1'])


def test_every_task_names_one_leaf_and_one_that_the_tests_run() -> None:
    demo = script(DEMO)
    assert list(demo.TASKS) == ['classification', 'detection', 'segmentation', 'pose']
    tested = {leaf.config for leaf in LEAVES.values()}
    for task in demo.TASKS:
        assert demo.leaf_of(task) in tested


@pytest.mark.parametrize(
    ('name', 'gpus', 'processes', 'options'),
    [
        ('a_2xb8-3e_b.py', 0, 2, []),  # the processor is shared by as many
        ('a_2xb8-3e_b.py', 4, 2, []),
        ('a_2xb8-3e_b.py', 1, 1, ['train_dataloader.batch_size=16']),
        ('a_4xb2-3e_b.py', 2, 2, ['train_dataloader.batch_size=4']),
    ],
)
def test_processes_follow_the_name_and_the_total_batch_stays(
    name: str, gpus: int, processes: int, options: list[str]
) -> None:
    assert script(DEMO).processes_of(Path(name), gpus) == (processes, options)


def test_a_name_without_processes_is_refused() -> None:
    with pytest.raises(ValueError, match='a_b.py does not tell its processes and batch'):
        script(DEMO).processes_of(Path('a_b.py'), 0)


@pytest.mark.parametrize('arguments', [['--task', 'classfication'], ['--tasks', 'pose']])
def test_unknown_task_or_option(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert call(script(DEMO).main, *arguments) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith('error: ') and arguments[-1] in line
