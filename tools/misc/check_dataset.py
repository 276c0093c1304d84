#!/usr/bin/env python
"""Look at the files of the data sets that a config names, before a GPU waits for them; ``--help`` lists the options.

    python tools/misc/check_dataset.py configs/detection/retinanet_moganet-t_fpn_1x_coco.py

Nothing is written but what ``--out`` asks for. The exit code is 1 when there are faults.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.datasets.check import Findings, Looker
    from moganet.datasets.check.report import write_findings
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_data import check_dataset_parser
    from moganet.engine.data_inspection import check_out, check_workers, look_at_data, open_data
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Look and print; return the exit code."""
    options = check_dataset_parser().parse_args(argv)
    found: list[Findings] = []

    def prepare() -> Callable[[], None]:
        check_workers(options.workers)
        cfg, splits = open_data(options.config, options.cfg_options, options.split)
        out = check_out(options.out)

        def look() -> None:
            for findings in look_at_data(cfg, splits, Looker(options.decode, options.workers)):
                findings.ignore(options.ignore)
                found.append(findings)
                print('\n'.join(findings.lines()), flush=True)
            faults = sum(len(findings.faults) for findings in found)
            print(f'faults: {faults:,}' if faults else 'no faults')
            if out:
                write_findings(out, found)
                print(f'written to {out}')

        return look

    return run_tool(prepare) or int(any(findings.faults for findings in found))


if __name__ == '__main__':
    sys.exit(main())
