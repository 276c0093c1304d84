#!/usr/bin/env python
"""Tell what a checkpoint is: who wrote it, how, which weights it has, how often its gate acts; no model is built.

    python tools/misc/inspect_checkpoint.py work_dirs/run/epoch_300.pth
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.checkpoints import open_checkpoint
    from moganet.checkpoints.report import as_columns, describe, module_lines
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_checkpoints import inspect_parser, reading_options
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Read and print; return the exit code."""
    options = inspect_parser().parse_args(argv)

    def prepare() -> Callable[[], None]:
        checkpoint = open_checkpoint(options.checkpoint, foreign=True, **reading_options(options))
        lines = [*describe(checkpoint), *(module_lines(checkpoint) if options.modules else [])]
        return lambda: print(as_columns(lines))

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
