#!/usr/bin/env bash
# Train with several processes, one a GPU; on a machine without a GPU they share its cores.
# Usage: [NNODES=1 NODE_RANK=0 MASTER_ADDR=127.0.0.1 PORT=29500] dist_train.sh CONFIG GPUS [args]
# Several machines: run it on each, with the same NNODES, MASTER_ADDR (the first machine's) and
# PORT, and NODE_RANK 0, 1, ...; GPUS is the number on each machine.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
TOOLS=$(dirname "${BASH_SOURCE[0]}")

# In the background, so that a signal to this script reaches the starter, which stops its processes.
python "$TOOLS/dist_run.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}" &
starter=$!
trap 'kill "$starter" 2>/dev/null' TERM INT HUP
status=0
wait "$starter" || status=$?
while kill -0 "$starter" 2>/dev/null; do wait "$starter" || status=$?; done
if [ $status -ne 0 ] && [ $status -ne 2 ]; then
    echo "All processes were stopped; the same command with --resume goes on from the newest" \
        "checkpoint" >&2
fi
exit $status
