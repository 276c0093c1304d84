#!/usr/bin/env bash
# Evaluate in GPUS processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Environment: NNODES NODE_RANK MASTER_ADDR PORT (as in the toolboxes; on one node a free port is found), PYTHON.
set -euo pipefail

if [ "$#" -lt 3 ]; then
    echo "error: usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
PYTHON="${PYTHON:-python}"
if ! command -v "$PYTHON" >/dev/null; then
    echo "error: no $PYTHON here; name one: PYTHON=/path/to/python $0 ..." >&2
    exit 2
fi
TOOLS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
CONFIG="$1"
CHECKPOINT="$2"
GPUS="$3"
shift 3

PYTHONPATH="$(dirname "$TOOLS")${PYTHONPATH:+:$PYTHONPATH}" \
    exec "$PYTHON" "$TOOLS/misc/start_processes.py" test "$GPUS" "$CONFIG" "$CHECKPOINT" "$@"
