#!/usr/bin/env bash
# A rolling upgrade of three real nodes under load, from the program of an earlier commit to this
# one: one goes back and forth, a node joins while builds are mixed, and leaves when all are new;
# and at last one goes back too late.
#
#   test/upgrade.sh [--from COMMIT] [--mib N] [--rate N] [--seed N]
#
# Builds first where that is needed: the earlier program in a folder beside the release build, which
# is kept for the next time. COMMIT: default ae26b1a, the last of level 1 (ring/build_level.h).
# --mib: of data that is loaded before, default 64. --rate: requests a second, default 300. The last
# line is
# gyre-upgrade: nodes=3 failed_requests=0 lost=0 level=3
# The exit code is not 0 when a request failed after the SDK's retries, an acknowledged write was
# lost, or anything else went wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

from=ae26b1a
if [[ "${1:-}" == --from ]]; then
  from="${2:?--from names a commit}"
  shift 2
fi
commit=$(git rev-parse --verify --short=12 "$from^{commit}")
folder="$PWD/build/upgrade-from-$commit"

{
  deploy/packages.sh
  cmake --preset release --log-level=WARNING
  ninja -C build/release --quiet test/integration/all
  if [[ ! -x "$folder/gyred" ]]; then
    sources=$(mktemp -d)
    trap 'rm -rf "$sources"' EXIT
    git archive "$commit" | tar -x -C "$sources"
    (cd "$sources" && cmake --preset release --log-level=WARNING &&
     ninja -C build/release --quiet server/gyred)
    mkdir -p "$folder"
    cp "$sources/build/release/server/gyred" "$folder/gyred"
  fi
} >&2
/usr/bin/python3 -B test/integration/upgrade.py --old "$folder/gyred" "$@"
