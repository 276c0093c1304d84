"""Kernels for GPUs: right in Triton's interpreter, and compiled for GPUs; neither needs one.

Both are done by processes of their own, ``interpreted.py`` and ``compiled.py``, as Triton is imported either for the
one or for the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DTYPES = ('float32', 'bfloat16', 'float16')

# Of the largest value of each quantity. In float32 sums of some hundred products are rounded by 1e-7 each. In the
# others results are rounded, by 2**-8 (the interpreter cuts digits off) and 2**-12, and so are the maps between two
# convolutions, whose errors add up to a few times that. Seen were 1.2e-6, 1.1e-2 and 7e-4.
ALLOWED = {'exact': 0.0, 'float32': 5e-6, 'bfloat16': 2e-2, 'float16': 2e-3}

CASES = [
    *(f'{name} {dtype}' for dtype in DTYPES for name in ('paper', 'point', 'gate', 'gate twice')),
    'wide float32',
    'half map with single weights bfloat16',
    'strided float32',
    'many sums float32',
    'frozen float32',
    'repeated exact',
    'gate channels first float32',
    'gate layouts apart float32',
    'second order float32',
    'layer float32',
    'layer autocast bfloat16',
    'fused float32',
    'tried float32',
]


def lines_of(module: str, *arguments: str, **environment: str) -> list[dict[str, object]]:
    command = [sys.executable, '-W', 'ignore', '-m', f'tests.models.{module}', *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(('TRITON_', 'MOGANET_TRITON'))}
    clean |= {'PYTHONPATH': str(ROOT), **environment}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=clean)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope='module')
def interpreted() -> dict[str, object]:
    """Return the errors of every case, or its traceback."""
    return {name: found for line in lines_of('interpreted') for name, found in line.items()}


@pytest.mark.parametrize('case', CASES)
def test_result_in_the_interpreter(interpreted: dict[str, object], case: str) -> None:
    found = interpreted[case]
    assert isinstance(found, dict), found
    limit = ALLOWED[case.rpartition(' ')[2]]
    assert found and all(error <= limit for error in found.values()), found


def test_no_case_is_left_out(interpreted: dict[str, object]) -> None:
    assert sorted(interpreted) == sorted(CASES)


def test_kernels_compile_for_a_gpu_and_have_no_atomics(tmp_path: Path) -> None:
    """An atomic sum would have another order each time."""
    found = lines_of('compiled', '80', 'bfloat16', TRITON_CACHE_DIR=str(tmp_path))
    kernels = {line['kernel'] for line in found}
    assert kernels == {'_convolve_kernel', '_partial_kernel', '_sum_kernel', '_gate_kernel', '_gate_gradient_kernel'}
    assert not any(line['atomics'] for line in found)
