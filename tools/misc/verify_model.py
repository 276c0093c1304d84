#!/usr/bin/env python
"""See whether released files are what the metafiles say: fetch, load, count, and evaluate where the data are there.

    python tools/misc/verify_model.py moganet-tiny_in1k
    python tools/misc/verify_model.py 'retinanet_*' --cfg-options test_dataloader.num_workers=4
    python tools/misc/verify_model.py moganet-tiny_8xb128_in1k --checkpoint work_dirs/run/epoch_310.pth

Exit code: 0 when nothing differs, with or without a metric, as it says; 1 when something does; 2 when a file cannot be
had or read, or the command line is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import USER_ERRORS, print_error, run_tool
    from moganet.engine.cli_checkpoints import verify_parser
    from moganet.engine.verify import cases, verify
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Verify one file after the other; return the exit code."""
    options = verify_parser().parse_args(argv)
    codes = [0]

    def prepare() -> Callable[[], None]:
        chosen = cases(options.names, options.all, options.checkpoint)

        def work() -> None:
            for number, case in enumerate(chosen):
                if number:
                    print()
                try:
                    same = verify(case, options.cfg_options, options.work_dir, lambda text: print(text, flush=True))
                    codes.append(0 if same else 1)
                except USER_ERRORS as error:
                    print_error(error)
                    codes.append(2)
            if len(chosen) > 1:
                print(f'\n{codes.count(0) - 1} verified, {codes.count(1)} differ, {codes.count(2)} could not be had')

        return work

    return run_tool(prepare) or max(codes)


if __name__ == '__main__':
    sys.exit(main())
