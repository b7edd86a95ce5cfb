#!/usr/bin/env bash
# Mutants: how much the tests would notice. Each patch of test/mutants breaks one promise, which its
# first line names; it is applied to a scratch copy, and the unit tests of its room and of those
# above it, then the explorer, the simulator, and its stories with names look for it, until one
# fails; of what is gyred's alone, and not the simulator's, the tests of gyred. Each is rebuilt only
# when its turn has come:
#
#   test/mutants.sh                all of them
#   test/mutants.sh clock 07       those whose file name contains `clock` or `07`
#   test/mutants.sh --simulator    by the simulator alone: what the unit tests would miss
#
# Prints a line for each, and last `gyre-mutants: total=<n> killed=<n>`. Ends with 0 only if all
# were killed; a patch that does not apply, or does not build, is an error and no kill.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seeds=60
simulator_alone=''
patterns=()
for argument in "$@"; do
  case "$argument" in
    --simulator) simulator_alone=yes ;;
    -*) sed -n '2,/^set/s/^# \{0,1\}//p' test/mutants.sh >&2 && exit 2 ;;
    *) patterns+=("$argument") ;;
  esac
done

deploy/packages.sh >&2
scratch=$(mktemp -d -t gyre-mutants-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
source=$scratch/source build=$scratch/build log=$scratch/log
# Paths relative to the scratch directory, so that the next run finds what this one compiled.
export CCACHE_BASEDIR=$scratch CCACHE_NOHASHDIR=1

# The rooms of a node in the order in which they depend on each other, and the test of each; of the
# client and the command line only their own.
rooms=(ring storage/version storage replication server)
declare -A test_of=([ring]=ring_test [storage/version]=version_test [storage]=storage_test
                    [replication]=replication_test [server]=node_test [api/client]=client_test
                    [api/cli]=cli_test [gyred]=server_test)

# Usage: room_of FILE. What a node is without its threads, sockets and files is the room `server`;
# the rest of that folder is `gyred`.
room_of() {
  local room
  room=$(dirname "$1")
  if [[ $room == server ]] &&
    sed -n '/^gyre_library(server$/,/DEPS/p' server/CMakeLists.txt |
    grep -qwF "$(basename "$1")"; then
    room=gyred
  fi
  echo "$room"
}

compile() { ninja -C "$build" "$@" >"$log" 2>&1; }

# A mutant that hangs is killed too; the shell's own word on one that aborts is not wanted.
run() { (timeout 600 "$@" >"$log" 2>&1 || exit 1) 2>/dev/null; }

# The first test that failed, by the log.
failed_test() { sed -n 's/^\[  FAILED  \] \([A-Za-z]*[.\/][^ ,]*\).*/\1/p' "$log" | head -1; }

# Usage: passes ROOM. Runs its tests; where one fails sets `killer` and answers 1. Answers 2 where
# they do not build.
passes() {
  local test=${test_of[$1]}
  compile "$test" || return 2
  if ! run "$build/${1/#gyred/server}/$test" --gtest_fail_fast --gtest_brief=1; then
    killer=$(failed_test)
    killer="$test ${killer:-broke down: $(tail -1 "$log" | cut -c -120)}"
    return 1
  fi
}

# Usage: survives ROOM. The same of a room and of those above it, then of the simulator.
survives() {
  local reached='' name
  if [[ $1 == api/* || $1 == gyred ]]; then
    passes "$1"
    return
  fi
  if [[ -z $simulator_alone ]]; then
    for name in "${rooms[@]}"; do
      [[ $name != "$1" ]] || reached=yes
      [[ ! $reached ]] || passes "$name" || return
    done
  fi
  compile explorer_test || return 2
  if ! run "$build/test/explorer/explorer_test" --gtest_fail_fast --gtest_brief=1; then
    killer="explorer_test $(failed_test)"
    return 1
  fi
  compile gyre_sim || return 2
  if ! run "$build/test/sim/gyre_sim" --seeds "$seeds" --first 1 --jobs "$(nproc)"; then
    killer="simulator, $(grep -m1 -E '^seed|invariant broken' "$log" | cut -c -120)"
    return 1
  fi
  compile sim_test || return 2
  if ! run "$build/test/sim/sim_test" --gtest_filter='*Story.*' --gtest_fail_fast \
    --gtest_brief=1; then
    killer="sim_test $(failed_test)"
    return 1
  fi
}

mkdir "$source"
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
  tar --null --create --files-from=- | tar --extract --directory "$source"
# Compiling more often than running: little optimisation, and no debug information.
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE= -DCMAKE_CXX_FLAGS=-O1 \
  -DCMAKE_UNITY_BUILD=OFF \
  --log-level=WARNING >"$log" 2>&1 || { cat "$log" >&2; exit 2; }
echo "building what is not mutated" >&2
killer='does not build'
if ! { survives ring && passes api/client && passes api/cli && passes gyred; }; then
  echo "without any mutant: $killer" >&2
  grep -v Skipped "$log" | tail -40 >&2
  exit 2
fi

total=0 killed=0 errors=0
for patch in test/mutants/*.patch; do
  name=$(basename "$patch" .patch)
  if [[ ${#patterns[@]} -gt 0 ]]; then
    chosen=''
    for pattern in "${patterns[@]}"; do [[ $name != *"$pattern"* ]] || chosen=yes; done
    [[ $chosen ]] || continue
  fi
  total=$((total + 1))
  file=$(sed -n 's|^+++ b/||p' "$patch" | head -1)
  room=$(room_of "$file")
  patch=$PWD/$patch
  if ! (cd "$source" && git apply -C1 "$patch") >"$log" 2>&1; then
    echo "$name: ERROR: does not apply: $(tail -1 "$log")"
    errors=$((errors + 1))
    continue
  fi
  survived=0
  survives "$room" || survived=$?
  case $survived in
    0) echo "$name: SURVIVED. $(head -1 "$patch")" ;;
    1)
      echo "$name: killed by $killer"
      killed=$((killed + 1))
      ;;
    *)
      echo "$name: ERROR: does not build: $(grep -m1 -E 'error|FAILED' "$log")"
      errors=$((errors + 1))
      ;;
  esac
  (cd "$source" && git apply -R -C1 "$patch")
done
echo "gyre-mutants: total=$total killed=$killed"
[[ $total -gt 0 && $killed -eq $total && $errors -eq 0 ]]
