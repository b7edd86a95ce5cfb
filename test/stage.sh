#!/usr/bin/env bash
# One stage of `test/run.sh --full`, which ctest runs as a test of its own:
#
#   test/stage.sh guard    no request costs 5 % more instructions than was committed
#   test/stage.sh asan     the whole suite under AddressSanitizer, LeakSanitizer and UBSan
#   test/stage.sh tsan     server/ and test/integration/ under ThreadSanitizer
#   test/stage.sh fuzz     a minute of libFuzzer for each target of test/fuzz
#   test/stage.sh mutants  every deliberate defect must be caught
#
# With GYRE_DEADLINE (seconds since 1970) set, a stage that the deadline finds unfinished and
# without a failure ends with 77, which ctest reports as skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Usage: suite PRESET [ROOM...]: builds and tests these rooms, or all, as the preset says.
suite() {
  local preset=$1 room
  shift
  cmake --preset "$preset" --log-level=WARNING
  for room in "${@:-.}"; do
    if [[ $room == . ]]; then
      ninja -C "build/$preset" --quiet
    else
      ninja -C "build/$preset" --quiet "$room/all"
    fi
    # Without a line for each test that passes: what failed must be found at the end of a log.
    ctest --test-dir "build/$preset/$room" --output-on-failure --stop-on-failure \
      --no-tests=error --parallel "$(nproc)" |
      grep -a --line-buffered -vE '^ *Start +[0-9]+: | Passed +[0-9.]+ sec$'
  done
}

if [[ ${GYRE_DEADLINE:-} ]]; then
  seconds=$((GYRE_DEADLINE - $(date +%s)))
  unset GYRE_DEADLINE
  [[ $seconds -gt 60 ]] || exit 77
  status=0
  timeout --kill-after=10 "$seconds" "test/stage.sh" "$@" || status=$?
  [[ $status -ne 124 && $status -ne 137 ]] || exit 77
  exit "$status"
fi

case "${1:-}" in
  guard) test/bench/guard.sh ;;
  asan) suite asan ;;
  tsan) suite tsan server test/integration ;;
  fuzz) suite fuzz test/fuzz ;;
  mutants) test/mutants.sh ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' test/stage.sh >&2 && exit 2 ;;
esac
