#!/usr/bin/env python
"""Count the parameters and multiply-adds of the model that a config describes; ``--help`` lists the options.

    python tools/analysis_tools/get_flops.py configs/detection/retinanet_moganet-t_fpn_1x_coco.py

Nothing is downloaded, and for the counter of the authors nothing is computed: shapes alone go through the model.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_analysis import flops_parser
    from moganet.engine.inspection import count_config
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Count and print; return the exit code."""
    options = flops_parser().parse_args(argv)

    def prepare() -> Callable[[], None]:
        found = count_config(options.config, options.cfg_options, options.shape, options.counter)
        lines = [
            ('config', options.config),
            ('input', f'{found.shape[0]} x {found.shape[1]}'),
            ('parameters', f'{found.parameters:,} ({found.parameters / 1e6:.2f} M)'),
            ('multiply-adds', f'{found.macs:,} ({found.macs / 1e9:.2f} G), counted as {found.counter}'),
        ]
        text = '\n'.join(f'{name:14} {value}' for name, value in lines)
        return lambda: print(text)

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
