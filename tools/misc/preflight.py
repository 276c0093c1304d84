#!/usr/bin/env python
"""Check all that a training needs, before its first step; ``--help`` lists the options, which are train.py's.

    python tools/misc/preflight.py configs/classification/moganet-tiny_8xb128_in1k.py 8

Nothing is written or fetched. The exit code is 1 when a check failed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import parse_preflight
    from moganet.engine.preflight import preflight
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Check and print; return the exit code."""
    return preflight(*parse_preflight(argv))


if __name__ == '__main__':
    sys.exit(main())
