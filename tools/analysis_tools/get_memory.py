#!/usr/bin/env python
"""Count the memory that the tensors of one training step take; ``--help`` lists the options.

    python tools/analysis_tools/get_memory.py configs/pose/td-hm_moganet-t_8xb32-210e_coco-256x192.py
    python tools/analysis_tools/get_memory.py CONFIG --cfg-options model.backbone.with_cp=True

Nothing is downloaded and no GPU is needed. Detectors are run on the processor, which takes minutes and the memory that
is counted; for the other tasks shapes alone go through the model. docs/memory.md says what a GPU needs beyond this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_analysis import memory_parser
    from moganet.engine.inspection import measure_config
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Count and print; return the exit code."""
    options = memory_parser().parse_args(argv)

    def prepare() -> Callable[[], None]:
        found = measure_config(options.config, options.cfg_options, options.batch, options.shape)
        by = 'shapes alone' if found.by_shapes else 'pictures of noise on the processor'
        lines = [
            ('config', options.config),
            ('batch', f'{found.batch} of {found.shape[0]} x {found.shape[1]}, float32, by {by}'),
            ('peak', f'{found.peak:,} bytes ({found.peak / 1e9:.2f} GB) of tensors'),
            ('between steps', f'{found.settled:,} bytes ({found.settled / 1e9:.2f} GB)'),
        ]
        text = '\n'.join(f'{name:14} {value}' for name, value in lines)
        return lambda: print(text)

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
