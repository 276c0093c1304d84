"""What befalls one of several processes: all of them end, or go on, and the one that it befell is heard."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from .kills import same_state
from .ranks import (
    AT,
    FAILS,
    KILLED,
    LAST,
    LAUNCHER_IS_TERMINATED,
    Fault,
    befalling_env,
    is_signalled,
    is_terminated,
    keeps_weights,
    raises,
    run_ranks,
    sees_nan,
    write_befalling,
    write_leaf,
)
from .tools import TOOLS, run

SEED = ('--seed', '7')


@pytest.fixture
def leaf(workplace: Path) -> Path:
    return write_leaf(workplace)


def test_one_that_fails_is_heard_and_the_other_says_one_line(leaf: Path) -> None:
    codes, logs = run_ranks('train', leaf, *SEED, '--work-dir', 'run', faults={1: raises})
    assert codes == [1, 1]
    assert 'process 1 ends by this:' in logs[1] and logs[1].endswith('LookupError: this process fails\n')
    assert 'Traceback' not in logs[0]
    (line,) = [line for line in logs[0].splitlines() if line.startswith('error: ')]
    assert line.startswith('error: another process has ended, or cannot be reached')


@pytest.mark.parametrize('fault', [is_terminated, pytest.param(is_signalled, marks=pytest.mark.slow)])
def test_all_stop_where_one_is_asked_to_and_go_on_as_if_they_had_not(leaf: Path, fault: Fault) -> None:
    assert run_ranks('train', leaf, *SEED, '--work-dir', 'whole')[0] == [0, 0]
    codes, logs = run_ranks('train', leaf, *SEED, '--work-dir', 'run', faults={1: fault})
    assert codes == [0, 0]
    name = {is_terminated: 'SIGTERM', is_signalled: 'SIGUSR1'}[fault]
    assert f'stopped by {name} after iteration {AT + 1}: ' in logs[0] and 'stopped by' not in logs[1]
    assert {path.name for path in Path('run').glob('*.pth')} == {'iter_4.pth', 'interrupted.pth'}
    codes, logs = run_ranks('train', leaf, *SEED, '--work-dir', 'run', '--resume')
    assert codes == [0, 0] and 'interrupted.pth' in logs[0]
    assert same_state(Path('whole', LAST), Path('run', LAST)) == []
    assert {path.name for path in Path('run').glob('*.pth')} == {LAST}


def test_what_is_not_finite_in_one_ends_all(leaf: Path) -> None:
    codes, logs = run_ranks('train', leaf, *SEED, '--work-dir', 'run', faults={1: sees_nan})
    assert codes == [1, 1]
    (line,) = [line for line in logs[1].splitlines() if line.startswith('error: ')]
    assert re.match(rf'error: process 1: the loss of iteration {AT + 1} is not finite .*the pictures, as the', line)
    (line,) = [line for line in logs[0].splitlines() if line.startswith('error: ')]
    assert line.startswith('error: another process has ended')


def test_what_is_not_finite_in_one_is_left_out_by_all(workplace: Path) -> None:
    leaf = write_leaf(workplace, "custom_hooks = [dict(type='FiniteLossHook', action='skip')]\n")
    faults = {0: keeps_weights, 1: sees_nan}
    codes, logs = run_ranks('train', leaf, *SEED, '--work-dir', 'run', faults=faults)
    assert codes == [0, 0], logs
    told = [line for line in logs[0].splitlines() if 'not finite' in line]
    assert len(told) == 1 and 'left out, 1 of at most 10' in told[0]
    assert 'process 1: not finite: ' in told[0] and 'the pictures, as the model is given them' in told[0]
    assert 'process 0' not in told[0]
    assert [path.name for path in Path('run').glob('not_finite*')] == [f'not_finite_iter_{AT + 1}_rank_1.pkl']
    ours, theirs = (torch.load(f'weights{rank}.pth') for rank in (0, 1))
    for name, value in ours.items():
        assert value.isfinite().all()
        if not name.endswith(('running_mean', 'running_var')):  # each process has its own statistics
            assert torch.equal(value, theirs[name]), name


@pytest.mark.slow
def test_a_job_is_restarted_and_stopped_and_loses_nothing(workplace: Path) -> None:
    """One process fails; in the next start one is killed; in the last the launcher is asked to stop."""
    whole = write_leaf(workplace)
    assert run_ranks('train', whole, *SEED, '--work-dir', 'whole')[0] == [0, 0]
    # From a run before, which nobody has asked to go on from.
    Path('run').mkdir()
    Path('run', 'iter_11.pth').write_bytes(Path('whole', LAST).read_bytes())
    os.utime(Path('run', 'iter_11.pth'), (1e9, 1e9))
    Path('run', 'last_checkpoint').write_text(str(Path('run', 'iter_11.pth').absolute()))

    leaf = write_befalling(workplace, (1, 5, FAILS), (1, 9, KILLED), (1, 10, LAUNCHER_IS_TERMINATED))
    env = befalling_env(workplace, MAX_RESTARTS='2')
    done = run(TOOLS / 'dist_train.sh', leaf, 2, *SEED, '--work-dir', 'run', env=env, timeout=900)
    assert done.stderr.count('Traceback') == 1
    assert done.stderr.index('LookupError: this process fails') < done.stderr.index('Sending process')
    for start, checkpoint in (('restart 1 of 2', 'iter_4.pth'), ('restart 2 of 2', 'iter_8.pth')):
        assert start in done.stdout and f'resuming from {workplace}/run/{checkpoint}' in done.stdout
    assert 'stopped by SIGTERM after iteration 11' in done.stdout
    codes, _ = run_ranks('train', whole, *SEED, '--work-dir', 'run', '--resume')
    assert codes == [0, 0] and same_state(Path('whole', LAST), Path('run', LAST)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ('fault', 'code', 'told'),
    [
        (KILLED, 137, ['error: process 1 was ended by SIGKILL; the system does so when memory runs out, see dmesg']),
        ('os._exit(7)', 7, ['error: process 1 ended with exit code 7']),
        (FAILS, 1, ['LookupError: this process fails', 'error: process 1 ended with exit code 1']),
        ("data_batch['inputs'] = None", 1, ['error: process 1 ended with exit code 1']),
    ],
    ids=['killed', 'exits', 'fails', 'has no data'],
)
def test_one_that_dies_takes_the_job_along(workplace: Path, fault: str, code: int, told: list[str]) -> None:
    leaf = write_befalling(workplace, (1, 3, fault))
    env, arguments = befalling_env(workplace), (leaf, 2, *SEED, '--work-dir', 'run')
    done = run(TOOLS / 'dist_train.sh', *arguments, code=code, env=env, timeout=900)
    lines = [re.sub(r'^\[rank1\]: ', '', line) for line in done.stderr.splitlines()]  # newer versions of torch add it
    assert [line for line in lines if line in told] == told
    assert 'another process has ended' not in done.stderr  # the launcher has told which
    assert done.stderr.count('Traceback') == (code == 1)


@pytest.mark.slow
def test_what_one_process_alone_finds_before_the_start(workplace: Path) -> None:
    """A user's error that the launcher and the first process have not."""
    (workplace / 'alone.py').write_text(
        "import os\nif os.environ.get('RANK') == '1':\n    raise ImportError('this machine lacks it')\n"
    )
    more = "custom_imports = dict(imports=['moganet', 'alone'], allow_failed_imports=False)\n"
    leaf = write_leaf(workplace, more)
    done = run(TOOLS / 'dist_train.sh', leaf, 2, '--work-dir', 'run', code=2, env=befalling_env(workplace), timeout=900)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert line.startswith('error: process 1: ') and 'this machine lacks it' in line
