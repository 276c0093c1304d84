#!/usr/bin/env python
"""Write what of a training's checkpoint others need: the weights that were evaluated, and what is known of them.

    python tools/model_converters/publish_model.py work_dirs/run/epoch_300.pth moganet-tiny.pth

The optimizer, the schedules, the log and the second copy of an averaged model's weights stay behind; the first eight
digits of the file's sha256 are added to its name. It is there whole, or not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.checkpoints import open_checkpoint
    from moganet.checkpoints.publish import publish
    from moganet.checkpoints.report import as_columns, describe, dropped_lines
    from moganet.checkpoints.writer import check_target, save
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_checkpoints import publish_parser, reading_options
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Read, strip and write; return the exit code."""
    options = publish_parser().parse_args(argv)

    def prepare() -> Callable[[], None]:
        check_target(options.out, replace=True)  # the hash is in the name: what is replaced is the same
        checkpoint = open_checkpoint(options.checkpoint, **reading_options(options))
        published, left_out = publish(checkpoint.weights, gate_act_twice=options.gate_act_twice)

        def write() -> None:
            path = save(published, options.out, with_hash=True)
            written = ('written', f'{path} ({len(published["state_dict"])} tensors)')
            size = ('size', f'{_mib(checkpoint.path)} before, {_mib(path)} published')
            print(as_columns([*describe(checkpoint), *dropped_lines(left_out), written, size]))

        return write

    return run_tool(prepare)


def _mib(path: Path) -> str:
    return f'{path.stat().st_size / 2**20:.1f} MiB'


if __name__ == '__main__':
    sys.exit(main())
