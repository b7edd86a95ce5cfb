#!/usr/bin/env bash
# A cluster of real nodes that grows and shrinks while it serves: from 3 nodes to 5, to 4, to 3,
# with a SIGKILL of a joining node, of one that is copied from, and of a voter in the middle; then
# a rolling restart of all nodes:
#
#   test/elastic.sh [--mib N] [--rate N] [--seed N]
#
# Builds first where that is needed. --mib: of data that moves besides what the load writes, default
# 1,024. --rate: requests a second, default 400. The last line is
# gyre-elastic: moved_mib=<n> mib_per_s=<x> failed_requests=0 lost=0 p99_ratio=<x>
# where p99_ratio is the 99th percentile of all requests while the cluster grew and shrank, by that
# of all requests before: of runs of the load of 10 s each, of which one that met both counts as of
# the former. Both are bounds of buckets that are 1/32 wide. The exit code is not 0 when a request
# failed after the SDK's retries, an acknowledged write was lost, nothing was asked of the cluster
# in one of its phases, the ratio is over 3, or anything else went wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

{
  deploy/packages.sh
  cmake --preset release --log-level=WARNING
  ninja -C build/release --quiet test/integration/all
} >&2
exec /usr/bin/python3 -B test/integration/elastic.py "$@"
