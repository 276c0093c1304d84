#!/usr/bin/env python
"""Print a config with its bases merged; ``--help`` lists the options.

    python tools/misc/print_config.py configs/detection/retinanet_moganet-t_fpn_1x_coco.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import config_parser, run_tool
    from moganet.engine.inspection import config_text
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Print, or save; return the exit code."""
    parser = config_parser('tools/misc/print_config.py', 'Print a config with its bases merged.')
    parser.add_argument('--save-path', metavar='FILE.py', help='write it to a new file in place of the screen')
    options = parser.parse_args(argv)

    def prepare() -> Callable[[], None]:
        text = config_text(options.config, options.cfg_options)
        if not options.save_path:
            return lambda: print(text, end='')
        target = Path(options.save_path).expanduser()
        if target.suffix != '.py':
            raise ValueError(f'--save-path {target}: a config is a .py file')
        if target.exists():
            raise ValueError(f'--save-path {target}: it exists; give a new name')
        if not target.parent.is_dir():
            raise FileNotFoundError(f'--save-path {target}: there is no folder {target.parent}')

        def save() -> None:
            target.write_text(text, encoding='utf-8')
            print(f'written: {target}')

        return save

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
