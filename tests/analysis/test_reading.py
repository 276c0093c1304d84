"""The benchmark of reading times the same file in three ways."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from moganet.analysis import reading
from moganet.analysis.reading import WAYS, measure_reading, write_weights

from ..e2e.tools import TOOLS, call, script

TOOL = script(TOOLS / 'analysis_tools' / 'benchmark_checkpoint.py')


def test_written_weights_are_as_many_as_asked(tmp_path: Path) -> None:
    write_weights(tmp_path / 'a.pth', 1003)
    weights = torch.load(tmp_path / 'a.pth')['state_dict']
    assert sum(weight.numel() for weight in weights.values()) == 1003


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='memory is counted on Linux')
def test_one_copy_of_the_weights_is_held(tmp_path: Path) -> None:
    write_weights(tmp_path / 'a.pth', 10_000_000)
    # 40 MB of weights, and what torch and Python need to read them.
    peak = reading._peak('first', tmp_path / 'a.pth', '')
    assert peak is not None and 39e6 < peak < 75e6


def test_rounds_must_be_some(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='rounds is 0'):
        measure_reading(tmp_path / 'a.pth', rounds=0)


def test_tool_prints_a_line_for_each_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, '_peak', lambda *_: 3_000_000)  # by processes of their own, as above
    assert call(TOOL.main, '--parameters', 1000, '--rounds', 1) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ['file', *WAYS]
    assert '1.00 x torch.load' in printed[1] and printed[1].endswith('peak +3 MB')
    assert call(TOOL.main, tmp_path / 'absent.pth') == 2
