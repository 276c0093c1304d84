"""The table of what the classic set cannot run names tests that there are, and skips no other."""

import ast

import pytest

from .classic import LACKING, lacking
from .conftest import REPO


def functions_of(path: str) -> set[str]:
    """The tests of a file as pytest names them: ``test_x``, ``TestX::test_y``."""
    found = set()
    for node in ast.parse((REPO / path).read_text(encoding='utf-8')).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f'{node.name}::' if isinstance(node, ast.ClassDef) else ''
        found |= {f'{prefix}{part.name}' for part in inner if isinstance(part, ast.FunctionDef)}
    return found


@pytest.mark.parametrize('nodeid', LACKING)
def test_every_entry_is_a_test_with_a_reason(nodeid):
    path, _, name = nodeid.partition('[')[0].partition('::')
    assert name in functions_of(path)
    assert LACKING[nodeid]


def test_an_entry_is_one_test_or_one_case_of_it(monkeypatch):
    monkeypatch.setattr('tests.classic.LACKING', {'tests/a.py::test_b': 'x', 'tests/a.py::test_c[1]': 'y'})
    names = ('test_b', 'test_b[1]', 'test_b2', 'test_c[1]', 'test_c[2]', 'test_c')
    assert [lacking(f'tests/a.py::{name}') for name in names] == ['x', 'x', '', 'y', '', '']
    assert lacking('tests/a.py') == ''
