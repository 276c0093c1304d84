"""The benchmark of running trains under two Runners, which differ in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.runner import Runner

from moganet.analysis.running import RUNNERS, measure_runners
from moganet.engine import ResumableRunner

from ..e2e.tools import LEAVES, TOOLS, call, script

TOOL = script(TOOLS / 'analysis_tools' / 'benchmark_runner.py')
_SMALL = ('train_dataloader.batch_size=2', 'train_dataloader.num_workers=0', 'train_dataloader.dataset.indices=6')


def test_tool_prints_a_line_for_each_runner(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[tuple[type[Runner], int]] = []
    save = Runner.save_checkpoint

    def noted(runner: Runner, *args: Any, **options: Any) -> None:
        saved.append((type(runner), runner.iter))
        save(runner, *args, **options)

    monkeypatch.setattr(Runner, 'save_checkpoint', noted)
    before = sorted(workplace.iterdir())
    words = ('--iterations', 4, '--rounds', 1, '--cfg-options', *_SMALL)
    assert call(TOOL.main, LEAVES['classification'].config, *words) == 0
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split()[0] for line in lines] == list(RUNNERS)
    assert ', 1.000 x Runner; checkpoint ' in lines[0]
    # Two iterations to warm up, four that count, one after them; a checkpoint in the third of the four, and at the end.
    assert saved == [(Runner, 4), (Runner, 6), (ResumableRunner, 4), (ResumableRunner, 6)]
    assert sorted(workplace.iterdir()) == before


@pytest.mark.parametrize(('iterations', 'rounds'), [(2, 1), (3, 0)])
def test_too_few_to_take_a_median_of(iterations: int, rounds: int) -> None:
    with pytest.raises(ValueError, match=f'iterations is {iterations} and rounds {rounds}'):
        measure_runners('none.py', {}, iterations, rounds)
