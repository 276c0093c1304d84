"""How findings are told: on the screen, and in files."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from moganet.datasets.check.report import SCREEN_LIMIT, Findings, write_findings


@pytest.fixture
def findings() -> Findings:
    found = Findings('train_dataloader.dataset', 'CocoDataset, a.json', ('cat', 'dog'), Counter({1: 3}))
    found.pictures, found.annotations, found.empty = 1000, 3, 2
    found.note('something')
    for number in range(SCREEN_LIMIT + 2):
        found.fault('bad-box', 'a.json', f'annotation {number}', 'no area')
    found.fault('missing-file', Path('b.jpg'), None, 'not there')
    return found


def test_screen(findings: Findings) -> None:
    lines = list(findings.lines())
    assert lines[:3] == [
        'train_dataloader.dataset: CocoDataset, a.json',
        '  pictures: 1,000, annotations: 3, pictures without any: 2; classes: 2, without any: 1 (cat)',
        '  note: something',
    ]
    assert lines[3].startswith('  bad-box: 7 (') and lines[4] == '    a.json (annotation 0): no area'
    assert lines[-3:] == ['    and 2 more', lines[-2], '    b.jpg: not there']


def test_ignored_kinds_are_notes(findings: Findings) -> None:
    findings.ignore(['bad-box'])
    assert [fault.kind for fault in findings.faults] == ['missing-file']
    assert findings.notes[-1] == 'bad-box: 7, ignored as asked'
    with pytest.raises(KeyError, match="unknown kind of fault 'bad-boxes'"):
        findings.fault('bad-boxes', 'a', None, '')


def test_names_that_are_no_text(findings: Findings, tmp_path: Path) -> None:
    """Names of files are bytes; those that are no UTF-8 can be printed and written all the same."""
    findings.fault('unreadable', os.fsdecode(b'caf\xe9.png'), None, 'empty file')
    assert 'caf\\udce9.png: empty file' in '\n'.join(findings.lines()).encode().decode()
    for name in ('faults.csv', 'faults.json'):
        write_findings(tmp_path / name, [findings])
        assert 'caf\\udce9.png' in (tmp_path / name).read_text(encoding='utf-8').replace('\\\\', '\\')


def test_files_hold_every_fault(findings: Findings, tmp_path: Path) -> None:
    write_findings(tmp_path / 'faults.csv', [findings])
    with (tmp_path / 'faults.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SCREEN_LIMIT + 3
    first = {'kind': 'bad-box', 'file': 'a.json', 'id': 'annotation 0', 'text': 'no area'}
    assert rows[0] == {'place': 'train_dataloader.dataset', **first}
    write_findings(tmp_path / 'faults.json', [findings])
    (read,) = json.loads((tmp_path / 'faults.json').read_text())
    assert read['faults'][0] == first and len(read['faults']) == SCREEN_LIMIT + 3
    assert read['per_class'] == {'cat': 0, 'dog': 3} and read['pictures'] == 1000
