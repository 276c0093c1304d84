#!/usr/bin/env python
"""Time the safe reading of a checkpoint beside ``torch.load``, and count its memory; ``--help`` lists the options.

    python tools/analysis_tools/benchmark_checkpoint.py                     # as many weights as MogaNet-XL has
    python tools/analysis_tools/benchmark_checkpoint.py FILE --rounds 9

Without FILE a file of random weights is written to the folder for temporary files, and removed. A first reading
takes two threads: let nothing else run beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.analysis.reading import Reading, measure_reading, write_weights
    from moganet.engine.cli import run_tool
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)

XL = 181_000_000  # about the parameters of MogaNet-XL


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog='tools/analysis_tools/benchmark_checkpoint.py', description=__doc__)
    parser.add_argument('file', metavar='FILE', nargs='?', help='a checkpoint; default: one of random weights')
    parser.add_argument('--parameters', type=int, default=XL, metavar='N', help=f'of a written file; default: {XL:,}')
    parser.add_argument('--rounds', type=int, default=5, metavar='N', help='timed readings of each kind; default: 5')
    options = parser.parse_args(argv)

    def prepare() -> Callable[[], None]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(options.file or Path(folder, 'weights.pth'))
            if options.file is None:
                write_weights(path, options.parameters)
            measured = measure_reading(path, options.rounds)
            text = _table(path.stat().st_size, measured)
        return lambda: print(text)

    return run_tool(prepare)


def _table(size: int, measured: dict[str, Reading]) -> str:
    """Return a line for each way: the median of the seconds, its ratio to torch's, and the memory."""
    rows = [f'{"file":8} {size / 1e6:,.0f} MB']
    for way, found in measured.items():
        ratio = found.seconds / measured['torch'].seconds
        memory = '' if found.peak is None else f'  peak +{found.peak / 1e6:,.0f} MB'
        rows.append(f'{way:8} {found.seconds:7.3f} s  {ratio:5.2f} x torch.load{memory}')
    return '\n'.join(rows)


if __name__ == '__main__':
    sys.exit(main())
