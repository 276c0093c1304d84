"""`--strategy fsdp` by the command lines: its checkpoints are tested in one process, and gone on from after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kills import same_state
from .ranks import LAST, is_killed, run_ranks, write_leaf
from .tools import TOOLS, call, script

FSDP = ('--strategy', 'fsdp', '--seed', '7')
EMA = "custom_hooks = [dict(type='EMAHook', momentum=0.1)]\n"


def test_sharded_run_is_tested_in_one_process(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With averaged weights, which a validation puts in the place of the model's."""
    leaf = write_leaf(workplace, EMA)
    codes, logs = run_ranks('train', leaf, *FSDP, '--work-dir', 'run')
    assert codes == [0, 0], logs
    assert "fsdp: each process keeps a part of the parameters, gradients and optimizer's state\n" in logs[0]
    (validated,) = [line for line in logs[0].splitlines() if 'Epoch(val)' in line]
    same_pictures = ('test_dataloader.num_workers=0', 'test_dataloader.dataset.indices=6')
    options = ('--work-dir', 'test', '--cfg-options', *same_pictures)
    assert call(script(TOOLS / 'test.py').main, leaf, f'run/{LAST}', *options) == 0
    metrics = dict(line.split() for line in capsys.readouterr().out.split('\nresult\n')[1].splitlines() if line)
    assert all(f'{name}: {value} ' in validated for name, value in metrics.items()) and metrics


@pytest.mark.slow
def test_killed_run_goes_on_bit_for_bit(workplace: Path) -> None:
    leaf = write_leaf(workplace, EMA)
    assert run_ranks('train', leaf, *FSDP, '--work-dir', 'whole')[0] == [0, 0]
    codes, _ = run_ranks('train', leaf, *FSDP, '--work-dir', 'run', faults={1: is_killed})
    assert codes[1] == -9 and codes[0] == 1
    assert {path.name for path in Path('run').glob('*.pth')} == {'iter_4.pth'}
    codes, logs = run_ranks('train', leaf, *FSDP, '--work-dir', 'run', '--resume')
    assert codes == [0, 0], logs
    assert same_state(Path('whole', LAST), Path('run', LAST)) == []


def test_one_process_is_refused_before_anything_is_written(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = script(TOOLS / 'train.py').main
    assert call(main, write_leaf(workplace), *FSDP, '--work-dir', 'run') == 2
    told = capsys.readouterr().err
    assert told.startswith('error: --strategy fsdp shards a model over processes, and this is a single one')
    assert told.count('\n') == 1 and not Path('run').exists()
