#!/usr/bin/env python
"""Draw what a model is given: samples after all augmentation, with their truth; ``--help`` lists the options.

python tools/analysis_tools/browse_dataset.py configs/detection/retinanet_moganet-t_fpn_1x_coco.py --out pictures
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.browse import BrowseOptions, Browser
    from moganet.engine.cli import run_tool
    from moganet.engine.cli_data import browse_dataset_parser
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, and print the paths; return the exit code."""
    options = BrowseOptions(**vars(browse_dataset_parser().parse_args(argv)))

    def prepare() -> Callable[[], None]:
        browser = Browser(options)

        def work() -> None:
            for note in browser.notes:
                print(f'note: {note}')
            for path, shares in browser.draw():
                print(f'{path}{f"  {shares}" if shares else ""}', flush=True)

        return work

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
