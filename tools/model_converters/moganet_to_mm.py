#!/usr/bin/env python
"""Write a checkpoint of any known format under the names that the toolboxes' models have today.

    python tools/model_converters/moganet_to_mm.py moganet-tiny_in1k moganet-tiny.pth
    python tools/model_converters/moganet_to_mm.py retinanet_moganet-t_fpn_1x_coco out.safetensors --to safetensors
    python tools/model_converters/moganet_to_mm.py old.pth.tar backbone.safetensors --to backbone

The mode of the gate goes into the file's ``meta``. Nothing is left out without being told.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.checkpoints import open_checkpoint
    from moganet.checkpoints.convert import convert, left_out
    from moganet.checkpoints.report import as_columns, describe, dropped_lines
    from moganet.checkpoints.writer import check_target, save
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_checkpoints import convert_parser, reading_options, target_of
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Read, rename and write; return the exit code."""
    options = convert_parser().parse_args(argv)

    def prepare() -> Callable[[], None]:
        check_target(options.out, replace=options.force)
        to = target_of(options)
        checkpoint = open_checkpoint(options.checkpoint, **reading_options(options))
        converted = convert(checkpoint.weights, to, gate_act_twice=options.gate_act_twice)

        def write() -> None:
            save(converted, options.out)
            tensors = f'{len(converted["state_dict"])} tensors, as {to}'
            around = dropped_lines(left_out(checkpoint.weights, to))
            print(as_columns([*describe(checkpoint), *around, ('written', f'{options.out} ({tensors})')]))

        return write

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
