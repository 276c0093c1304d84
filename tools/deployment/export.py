#!/usr/bin/env python
"""Export a model to ONNX, OpenVINO or a torch program, checked against torch on real pictures; ``--help`` has more.

    python tools/deployment/export.py CONFIG CHECKPOINT --format openvino
    python tools/deployment/export.py CONFIG CHECKPOINT --part backbone --images photo.jpg --out backbone.onnx

Exit code: 0 when the file is there; 1 when the network cannot be exported or differs from torch, and there is no file;
2 when the command line, the config or the checkpoint is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_export import parse_export
    from moganet.engine.exporting import prepare_export
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Export; return the exit code."""
    options = parse_export(argv)

    def prepare() -> Callable[[], None]:
        notes, work = prepare_export(options)
        for note in notes:
            print(note)

        def export() -> None:
            print('\n'.join(work().lines()))

        return export

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
