#!/usr/bin/env bash
# Train on a Slurm cluster: [GPUS=8] tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# Environment: GPUS (in all), GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, PYTHON.
# Within a batch job that may be requeued (sbatch --requeue --signal=USR1@120), a run that is stopped by the signal writes a
# checkpoint and has the job requeued; started again, it goes on from there.
set -euo pipefail

if [ "$#" -lt 4 ]; then
    echo "error: usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
case "$4" in
    -*) echo "error: $4 stands where WORK_DIR belongs; usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2; exit 2 ;;
esac
TOOLS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
PARTITION="$1"
JOB_NAME="$2"
CONFIG="$3"
WORK_DIR="$4"
shift 4
GPUS="${GPUS:-8}"
GPUS_PER_NODE="${GPUS_PER_NODE:-8}"
if [ "$GPUS" -lt "$GPUS_PER_NODE" ]; then
    GPUS_PER_NODE="$GPUS"
fi

RESUME=()
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    RESUME=(--resume auto)
fi

# SRUN_ARGS holds several words on purpose.
# shellcheck disable=SC2086
PYTHONPATH="$(dirname "$TOOLS")${PYTHONPATH:+:$PYTHONPATH}" \
    srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$TOOLS/train.py" "$CONFIG" --work-dir="$WORK_DIR" --launcher=slurm "$@" ${RESUME[@]+"${RESUME[@]}"}

# Left by a run that was asked to stop before its end, and by no other.
if [ -e "$WORK_DIR/interrupted.pth" ] && [ -n "${SLURM_JOB_ID:-}" ]; then
    echo "stopped before its end: job $SLURM_JOB_ID is requeued"
    scontrol requeue "$SLURM_JOB_ID"
fi
