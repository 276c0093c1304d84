"""tools/misc/preflight.py and train.py --preflight: a run of each task may begin, and nothing is left behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moganet.engine.preflight import CHECKS

from .tools import LEAVES, REPO, TOOLS, call, script

PREFLIGHT, TRAIN = script(TOOLS / 'misc' / 'preflight.py'), script(TOOLS / 'train.py')


@pytest.mark.parametrize('name', ['mask-rcnn', 'sem-fpn', 'pose'])
def test_a_leaf_of_each_task(name: str, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    leaf = LEAVES[name]
    assert call(PREFLIGHT.main, leaf.config, '--work-dir', 'run', '--cfg-options', *leaf.options) == 0
    told, err = capfd.readouterr()
    assert err == '' and [path.name for path in workplace.iterdir()] == ['data']
    lines = dict(zip([*CHECKS, 'summary'], told.splitlines(), strict=True))
    # The leaf's rate is for more pictures than two, and the smallest of checkpoints do not fill a disk.
    assert {check for check in CHECKS if lines[check].split()[1] != 'ok'} <= {'rate', 'time'}
    assert re.search(r'2 pictures of \d+ x \d+ forward and backward on cpu in [\d.]+ s: loss [\d.]+, (\d+) of \1 param',
                     lines['batch'])  # fmt: skip
    assert 'warning' in lines['rate'] and lines['summary'].startswith('a run may begin: ')


def test_both_doors(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They print the same, but for the seconds; without its data a run would fail."""
    leaf = LEAVES['classification']
    options = ('--work-dir', 'run', '--seed', '1', '--cfg-options', *leaf.options)
    told = []
    for command in ((PREFLIGHT.main, leaf.config), (TRAIN.main, leaf.config, '--preflight')):
        assert call(*command, *options) == 0
        printed = re.sub(r'[\d.,]+ (s|GB|seconds|minutes)\b', '', capfd.readouterr().out)
        told.append([line for line in printed.splitlines() if not line.startswith(('time', 'a run'))])
    assert told[0] == told[1] and len(told[0]) == len(CHECKS) - 1
    benchmark = REPO / 'configs/classification/moganet-xtiny_8xb128_in1k.py'
    assert call(TRAIN.main, benchmark, '--preflight') == 1
    printed = capfd.readouterr().out
    assert re.search(r'^data +FAILED .*no such folder', printed, re.M)
    assert re.search(r'^memory .* of tensors for batches of 128 \(counted by shapes', printed, re.M)
    assert [path.name for path in workplace.iterdir()] == ['data']
