#!/usr/bin/env python
"""Check configs, of this repository or of a toolbox, before a run does; ``--help`` lists the options.

    python tools/misc/check_config.py configs/detection/*.py

An unknown key, type or argument is refused with the nearest valid name, and a neck or head that does not fit its
backbone with the right channels. ``tools/train.py`` runs the same checks first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import USER_ERRORS, config_parser, print_error
    from moganet.engine.inspection import check_config
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Check each config; return 2 when one of them is wrong."""
    parser = config_parser('tools/misc/check_config.py', 'Check configs before a run does.')
    parser.add_argument('more', nargs='*', metavar='CONFIG', help='more configs')
    options = parser.parse_args(argv)
    code = 0
    for config in (options.config, *options.more):
        try:
            print(check_config(config, options.cfg_options))
        except USER_ERRORS as error:
            print_error(error)
            code = 2
    return code


if __name__ == '__main__':
    sys.exit(main())
