#!/usr/bin/env bash
# Sets up a Debian 12 machine and passes the tests; closes with ctest's own summary.
#
#   test/run.sh                    unit, simulation, integration and tidy tests of a release build
#   test/run.sh --label simulation only those of one label
#   test/run.sh --full             and then the stages of test/stage.sh: the guard of what requests
#                                  cost, sanitizers, a fuzzing round, mutants
#   test/run.sh --full --minutes N as many stages as fit in N minutes from now; ctest lists those
#                                  that did not as skipped
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

full='' label='' started=$(date +%s)
while [[ $# -gt 0 ]]; do
  case "$1" in
    --full) full=yes ;;
    --label) label=${2:?--label needs a name} && shift ;;
    --minutes) export GYRE_DEADLINE=$((started + 60 * ${2:?--minutes needs a number})) && shift ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' test/run.sh >&2 && exit 2 ;;
  esac
  shift
done

deploy/packages.sh ${full:+full}
cmake --preset release --log-level=WARNING
ninja -C build/release --quiet

ctest=(ctest --test-dir build/release --output-on-failure --no-tests=error --parallel "$(nproc)")
"${ctest[@]}" --label-exclude '^stage$' ${label:+--label-regex "^$label\$"}
if [[ $full ]]; then
  "${ctest[@]}" --label-regex '^stage$'
fi
