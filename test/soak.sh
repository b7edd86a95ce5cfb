#!/usr/bin/env bash
# A long run of a real five-node cluster under load and faults of every kind (processes, network,
# disks), judged by the checker of the simulator:
#
#   test/soak.sh MINUTES [--seed N] [--rate N] [--no-wipe]
#
# Builds first where that is needed. What the machine forbids (namespaces take root or user
# namespaces, disk images take root) is skipped with the reason. The last line is
# gyre-soak: minutes=<n> acked=<n> lost=0 resurrected=0 false_siblings=0 diverged=0 faults=<n>
# and the exit code is not 0 when any of these four is not, or anything else went wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ $# -gt 0 ]] || { sed -n '2,/^set/s/^# \{0,1\}//p' test/soak.sh >&2 && exit 2; }

{
  deploy/packages.sh
  cmake --preset release --log-level=WARNING
  ninja -C build/release --quiet test/integration/all
} >&2
exec /usr/bin/python3 -B test/integration/soak.py "$@"
