#!/usr/bin/env bash
# Train in GPUS processes: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Environment: NNODES NODE_RANK MASTER_ADDR PORT (as in the toolboxes; on one node a free port is found), PYTHON,
# MAX_RESTARTS (how often all processes are started again, from the last checkpoint, after one has died; 0).
set -euo pipefail

if [ "$#" -lt 2 ]; then
    echo "error: usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
PYTHON="${PYTHON:-python}"
if ! command -v "$PYTHON" >/dev/null; then
    echo "error: no $PYTHON here; name one: PYTHON=/path/to/python $0 ..." >&2
    exit 2
fi
TOOLS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
CONFIG="$1"
GPUS="$2"
shift 2

PYTHONPATH="$(dirname "$TOOLS")${PYTHONPATH:+:$PYTHONPATH}" \
    exec "$PYTHON" "$TOOLS/misc/start_processes.py" train "$GPUS" "$CONFIG" "$@"
