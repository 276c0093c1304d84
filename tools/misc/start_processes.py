#!/usr/bin/env python
"""Start the processes of a tool; ``tools/dist_train.sh`` and ``tools/dist_test.sh`` run this.

python tools/misc/start_processes.py train|test PROCESSES ARGUMENTS...
"""

from __future__ import annotations

import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS.parent))

try:
    from moganet.engine.processes import main
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)

if __name__ == '__main__':
    kind, *arguments = sys.argv[1:]
    sys.exit(main([kind, str(TOOLS / f'{kind}.py'), *arguments]))
