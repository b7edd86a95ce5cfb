#!/usr/bin/env bash
# Guard: a slow-down that no noisy clock can hide. Counts the instructions that a put and a get cost
# three nodes in process (gyre-request-path under callgrind) and fails when one of them has grown by
# more than 5 % over the committed figure, or has fallen by as much and nobody committed that:
#
#   test/bench/guard.sh            compares with test/bench/guard_figures.txt
#   test/bench/guard.sh --update   and writes what it counted there: say in the commit why
#
# Last line: `gyre-guard: put=<n> put_grown=<percent> get=<n> get_grown=<percent>`. The figures are
# those of Debian 12's compiler and libraries; where the profiles lie is printed too, for
# callgrind_annotate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

figures=test/bench/guard_figures.txt most_percent=5 requests=3200 update=''
case "${1:-}" in
  '') ;;
  --update) update=yes ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' test/bench/guard.sh >&2 && exit 2 ;;
esac

deploy/packages.sh full >&2
cmake --preset release --log-level=WARNING >&2
ninja -C build/release --quiet gyre_request_path >&2
profiles=build/release/guard
mkdir -p "$profiles"

# Usage: count put|get: instructions of one request.
count() {
  local profile=$profiles/$1.callgrind log=$profiles/$1.log collected
  valgrind --tool=callgrind --callgrind-out-file="$profile" --toggle-collect='*CountedRun*' \
    build/release/test/bench/gyre-request-path "$1" --count "$requests" --before "$requests" \
    >"$log" 2>&1 || { cat "$log" >&2; return 1; }
  collected=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")
  [[ ${collected:-0} -gt 0 ]] || { echo "guard.sh: nothing was counted: $log" >&2; return 1; }
  echo $((collected / requests))
}

put=$(count put)
get=$(count get)
echo "profiles: $profiles/put.callgrind $profiles/get.callgrind"
if [[ $update ]]; then printf 'put %s\nget %s\n' "$put" "$get" >"$figures"; fi

# Usage: grown put|get COUNT: by how many percent, with one digit.
grown() {
  awk -v name="$1" -v now="$2" '$1 == name { printf "%.1f", 100 * (now - $2) / $2 }' "$figures"
}
put_grown=$(grown put "$put")
get_grown=$(grown get "$get")
echo "gyre-guard: put=$put put_grown=$put_grown get=$get get_grown=$get_grown"
for percent in "${put_grown:?no figure}" "${get_grown:?no figure}"; do
  awk -v by="$percent" -v most="$most_percent" 'BEGIN { exit !(by <= most && by >= -most) }' || {
    echo "guard.sh: a request's cost is more than $most_percent % from what $figures says" \
      "($percent %); if that is meant: --update" >&2
    exit 1
  }
done
