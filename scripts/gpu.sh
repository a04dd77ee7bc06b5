#!/usr/bin/env bash
# What rlkit does on a GPU, in under 8 minutes on one card: the tests marked cuda, pairs against Stable-Baselines3, and a
# look at where an update's time goes. Results: $OUT/gpu.json, or gpu.json here. Without a card it is a dry run on the CPU.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
python3 scripts/gpu.py "${OUT:-.}/gpu.json" "$@"
