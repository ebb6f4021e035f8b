#!/usr/bin/env bash
# Index a folder with several processes, one a GPU; without a GPU they share the machine's cores.
# Usage: [NNODES=1 NODE_RANK=0 MASTER_ADDR=127.0.0.1 PORT=29500] dist_index.sh PROCESSES FOLDER
#        --out INDEX [arguments of index.py]
# Several machines: run it on each, with the same NNODES, MASTER_ADDR (the first machine's) and
# PORT, and NODE_RANK 0, 1, ...; FOLDER and INDEX lie on a disk that they share. The same command
# goes on where it was stopped, with any number of processes.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 PROCESSES FOLDER --out INDEX [arguments of index.py]" >&2
    exit 2
fi

# In the background, so that a signal to this script reaches torchrun, which stops its processes.
python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$1" \
    "$(dirname "${BASH_SOURCE[0]}")/index.py" "${@:2}" &
torchrun=$!
trap 'kill "$torchrun" 2>/dev/null' TERM INT HUP
status=0
wait "$torchrun" || status=$?
while kill -0 "$torchrun" 2>/dev/null; do wait "$torchrun" || status=$?; done
exit $status
