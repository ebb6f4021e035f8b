#!/usr/bin/env bash
# Train on a Slurm cluster: one torchrun a node, one process a GPU.
# Usage: [NNODES=1 GPUS_PER_NODE=8 CPUS_PER_GPU=5 PORT=29500 SRUN_ARGS=...] \
#     slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [args]
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of train.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
WORK_DIR=$4
GPUS_PER_NODE=${GPUS_PER_NODE:-8}

# On each node, Slurm's own variables say where it is and who is first.
# shellcheck disable=SC2016,SC2086
exec srun \
    --partition="$PARTITION" \
    --job-name="$JOB_NAME" \
    --nodes="${NNODES:-1}" \
    --ntasks-per-node=1 \
    --gres="gpu:$GPUS_PER_NODE" \
    --cpus-per-task="$((GPUS_PER_NODE * ${CPUS_PER_GPU:-5}))" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    bash -c '
        NNODES=$SLURM_NNODES NODE_RANK=$SLURM_NODEID \
        MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) \
        exec bash "$@"' \
    bash "$(dirname "${BASH_SOURCE[0]}")/dist_train.sh" \
    "$CONFIG" "$GPUS_PER_NODE" --work-dir "$WORK_DIR" "${@:5}"
