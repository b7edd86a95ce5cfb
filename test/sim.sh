#!/usr/bin/env bash
# Runs the simulator over seeds, on every core:
#
#   test/sim.sh --seeds N [--first SEED | --fresh]    and whatever else gyre_sim --help names
#
# Builds it first where that is needed. A failing seed prints the command that replays it.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

{
  "$repo/deploy/packages.sh"
  cd "$repo"
  cmake --preset release --log-level=WARNING
  ninja -C build/release --quiet gyre_sim
} >&2
exec "$repo/build/release/test/sim/gyre_sim" --jobs "$(nproc)" "$@"
