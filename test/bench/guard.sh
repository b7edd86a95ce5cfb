#!/usr/bin/env bash
# Guard: a slow-down that no noisy clock can hide. Counts the instructions that a put of a new key,
# a put over a record and a get cost three nodes in process (gyre-request-path under callgrind) and
# fails when one of them has grown by more than 5 % over the committed figure, or has fallen by as
# much and nobody committed that:
#
#   test/bench/guard.sh            compares with test/bench/guard_figures.txt
#   test/bench/guard.sh --update   and writes what it counted there: say in the commit why
#
# Last line: `gyre-guard: put=<n> put_grown=<percent> replace=... get=...`. The figures are those of
# Debian 12's compiler and libraries; where the profiles lie is printed too, for callgrind_annotate.
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

# Usage: count put|replace|get: instructions of one request.
count() {
  local profile=$profiles/$1.callgrind log=$profiles/$1.log collected
  valgrind --tool=callgrind --callgrind-out-file="$profile" --toggle-collect='*CountedRun*' \
    build/release/test/bench/gyre-request-path "$1" --count "$requests" --before "$requests" \
    >"$log" 2>&1 || { cat "$log" >&2; return 1; }
  collected=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")
  [[ ${collected:-0} -gt 0 ]] || { echo "guard.sh: nothing was counted: $log" >&2; return 1; }
  echo $((collected / requests))
}

counted='' line=''
for request in put replace get; do counted+="$request $(count "$request")"$'\n'; done
echo "profiles: $profiles/{put,replace,get}.callgrind"
if [[ $update ]]; then printf '%s' "$counted" >"$figures"; fi

# By how many percent each has grown, with one digit.
grown=$(awk 'NR == FNR { figure[$1] = $2; next }
  !figure[$1] { exit 1 }
  { printf "%s %s %.1f\n", $1, $2, 100 * ($2 - figure[$1]) / figure[$1] }' "$figures" - \
  <<<"${counted%$'\n'}") || { echo "guard.sh: $figures lacks a figure: --update" >&2; exit 1; }
while read -r request now by; do line+=" $request=$now ${request}_grown=$by"; done <<<"$grown"
echo "gyre-guard:$line"
awk -v most="$most_percent" '$3 > most || $3 < -most { bad = 1 } END { exit bad }' <<<"$grown" || {
  echo "guard.sh: a request's cost is more than $most_percent % from what $figures says;" \
    "if that is meant: --update" >&2
  exit 1
}
