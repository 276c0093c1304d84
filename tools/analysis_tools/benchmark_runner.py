#!/usr/bin/env python
"""Time training under this project's Runner beside MMEngine's own; ``--help`` lists the options.

    python tools/analysis_tools/benchmark_runner.py CONFIG
    python tools/analysis_tools/benchmark_runner.py CONFIG --rounds 9 --cfg-options train_dataloader.batch_size=64

What differs is what exact resume needs: a seed for each sample, a look at loss and gradients, the state of the random
numbers, files that are synchronised. The data of CONFIG have to be there. Let nothing else run beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.analysis.running import RUNNERS, Pace, measure_runners
    from moganet.engine.cli import config_parser, run_tool
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = config_parser('tools/analysis_tools/benchmark_runner.py', 'What exact resume costs.')
    parser.add_argument('--iterations', type=int, default=10, metavar='N', help='of each training; default: 10')
    parser.add_argument('--rounds', type=int, default=5, metavar='N', help='trainings of each kind; default: 5')
    options = parser.parse_args(argv)

    def prepare() -> Callable[[], None]:
        paces = measure_runners(options.config, options.cfg_options, options.iterations, options.rounds)
        text = _table(paces)
        return lambda: print(text)

    return run_tool(prepare)


def _table(paces: dict[str, Pace]) -> str:
    """Return a line for each Runner: an iteration and a checkpoint, seconds, and their ratio to MMEngine's."""
    first = paces[RUNNERS[0]]
    return '\n'.join(
        f'{name:16} iteration {pace.iteration:8.4f} s, {pace.iteration / first.iteration:5.3f} x Runner; '
        f'checkpoint {pace.checkpoint:7.3f} s more'
        for name, pace in paces.items()
    )


if __name__ == '__main__':
    sys.exit(main())
