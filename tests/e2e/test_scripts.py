"""The shell scripts: those for Slurm with an ``srun`` that shows what it was given, and a Python that is not fit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .tools import TOOLS, environment, run


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    srun = tmp_path / 'bin' / 'srun'
    srun.parent.mkdir()
    srun.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    inherited = environment()
    return {**inherited, 'PATH': f'{srun.parent}:{inherited["PATH"]}', 'PYTHON': 'python3.x'}


def test_train(env: dict[str, str]) -> None:
    env |= {'GPUS': '4', 'CPUS_PER_TASK': '3', 'SRUN_ARGS': '--quotetype=auto --exclusive'}
    given = run(
        TOOLS / 'slurm_train.sh', 'part', 'job', 'my config.py', 'w', '--seed', '1', env=env
    ).stdout.splitlines()
    assert given[:2] == ['-p', 'part']
    for word in ('--job-name=job', '--gres=gpu:4', '--ntasks=4', '--ntasks-per-node=4', '--cpus-per-task=3'):
        assert word in given
    assert given[given.index('--quotetype=auto') + 1] == '--exclusive'
    script = given.index(str(TOOLS / 'train.py'))
    assert given[script - 2 : script] == ['python3.x', '-u']
    assert given[script + 1 :] == ['my config.py', '--work-dir=w', '--launcher=slurm', '--seed', '1']


@pytest.mark.parametrize('interrupted', [True, False])
@pytest.mark.parametrize('restarts', ['', '0', '2'])
def test_a_job_that_was_stopped_is_requeued_and_resumes(
    env: dict[str, str], tmp_path: Path, interrupted: bool, restarts: str
) -> None:
    scontrol = tmp_path / 'bin/scontrol'
    scontrol.write_text('#!/usr/bin/env bash\necho scontrol "$@"\n')
    scontrol.chmod(0o755)
    (tmp_path / 'run').mkdir()
    if interrupted:
        (tmp_path / 'run/interrupted.pth').touch()
    env |= {'SLURM_JOB_ID': '77', 'SLURM_RESTART_COUNT': restarts}
    given = run(TOOLS / 'slurm_train.sh', 'part', 'job', 'c.py', tmp_path / 'run', env=env).stdout.splitlines()
    assert ('scontrol requeue 77' in given) == interrupted
    assert (given[given.index('--launcher=slurm') + 1 :][:2] == ['--resume', 'auto']) == (restarts == '2')


def test_a_job_that_failed_is_not_requeued(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / 'bin/srun').write_text('#!/usr/bin/env bash\nexit 3\n')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/interrupted.pth').touch()
    env |= {'SLURM_JOB_ID': '77'}
    done = run(TOOLS / 'slurm_train.sh', 'part', 'job', 'c.py', tmp_path / 'run', env=env, code=3)
    assert 'requeue' not in done.stdout


def test_test(env: dict[str, str]) -> None:
    env |= {'GPUS': '16'}
    given = run(TOOLS / 'slurm_test.sh', 'part', 'job', 'c.py', 'x.pth', '--tta', env=env).stdout.splitlines()
    assert '--ntasks=16' in given and '--ntasks-per-node=8' in given and '--gres=gpu:8' in given
    assert given[given.index(str(TOOLS / 'test.py')) + 1 :] == ['c.py', 'x.pth', '--launcher=slurm', '--tta']


@pytest.mark.parametrize('name', ['slurm_train.sh', 'slurm_test.sh'])
def test_usage(name: str, env: dict[str, str]) -> None:
    line = run(TOOLS / name, 'part', 'job', env=env, code=2).stderr
    assert line.startswith('error: usage: ') and len(line.splitlines()) == 1


@pytest.mark.parametrize(('name', 'lacks'), [('slurm_train.sh', 'WORK_DIR'), ('slurm_test.sh', 'CHECKPOINT')])
def test_an_option_in_the_place_of_a_path(name: str, lacks: str, env: dict[str, str]) -> None:
    line = run(TOOLS / name, 'part', 'job', 'c.py', '--seed', '1', env=env, code=2).stderr
    assert line.startswith(f'error: --seed stands where {lacks} belongs') and len(line.splitlines()) == 1


def test_python_without_torch(tmp_path: Path) -> None:
    """An interpreter that finds neither torch nor anything else that is installed."""
    bare = tmp_path / 'bare'
    bare.write_text(f'#!/usr/bin/env bash\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    commands = [[bare, TOOLS / 'train.py', 'c.py'], [bare, TOOLS / 'test.py', 'c.py', 'x.pth']]
    for command in [*commands, [TOOLS / 'dist_train.sh', 'c.py', '1']]:
        line = run(*command, env=environment(PYTHON=str(bare)), code=2).stderr
        assert line.startswith('error: No module named') and 'moganet.doctor' in line and len(line.splitlines()) == 1


def test_no_python(env: dict[str, str]) -> None:
    env['PYTHON'] = 'no-such-python'
    line = run(TOOLS / 'dist_train.sh', 'c.py', '1', env=env, code=2).stderr
    assert line.startswith('error: no no-such-python here') and len(line.splitlines()) == 1
