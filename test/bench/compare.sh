#!/usr/bin/env bash
# Gyre beside its peers on this machine: three nodes, N=3, R=W=2, fsync; the bare gRPC echo in
# three forms; etcd, three members, linearizable gets; Redis, a primary with two replicas, WAIT 1,
# appendfsync always. They run in turns, so that a machine whose speed drifts favours none.
#
#   test/bench/compare.sh            3 rounds of 10 s a figure
#   test/bench/compare.sh --quick    3 rounds of 4 s a figure: a rough answer in five minutes
#
# Prints a table of medians with least and most, and a line for each ratio, also a median over the
# rounds: gyre-bench: <name>=<ratio>. docs/benchmarks.md says what is not equal between the peers.
# GYRE_BENCH_PORT (default 9100) is the first of the ports, which it takes up to +210.
# Exit code 0 if every run that was made went well. All that it starts it ends, also on Ctrl-C.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$repo/build/release
port=${GYRE_BENCH_PORT:-9100}
rounds=3 seconds=10 warm_up=2 records=20000
case "${1:-}" in
  '') ;;
  --quick) seconds=4 warm_up=1 ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac

home=$(mktemp -d "${TMPDIR:-/tmp}/gyre-compare.XXXXXX")
started=() # process ids, each a child of ours until we have waited for it
finish() {
  local status=$? pid
  trap - EXIT INT TERM
  for pid in "${started[@]}"; do kill -s TERM "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [[ $status -eq 0 ]]; then rm -rf "$home"; else echo "logs: $home" >&2; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() {
  printf 'test/bench/compare.sh: %s\n' "$*" >&2
  exit 1
}
start() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$home/$name.out" 2>&1 </dev/null &
  started+=($!)
}
await() { # WHAT COMMAND...
  local what=$1 _
  shift
  for _ in $(seq 150); do
    "$@" && return
    sleep 0.1
  done
  tail -n 5 "$home"/*.out >&2
  die "$what did not come up"
}

members() {
  local i
  for i in 1 2 3; do
    printf 'members { name: "n%d" peer_address: "127.0.0.1:%d" client_address: "127.0.0.1:%d"' \
      "$i" $((port + 100 + i)) $((port + i))
    printf ' zone: "zone-%d" }\n' "$i"
  done
}
start_gyre() {
  local i
  for i in 1 2 3; do
    {
      printf 'cluster_name: "compare"\nnode_name: "n%d"\ndata_dir: "%s/n%d"\n' "$i" "$home" "$i"
      printf 'http_listen: "127.0.0.1:%d"\n' $((port + 200 + i))
      members
    } >"$home/n$i.config"
    start "n$i" "$bin/server/gyred" --config "$home/n$i.config" --log-file "$home/n$i.jsonl"
    gyre_pids+=("n$i=${started[-1]}")
  done
  for i in 1 2 3; do await "node n$i" grep -qs '"event":"ready"' "$home/n$i.jsonl"; done
}
start_echo() { # FORM PORT
  start "echo-$1" "$bin/test/bench/gyre-echo" "$1" "127.0.0.1:$2"
  echo_pids[$1]=echo=${started[-1]}
  await "the echo by $1" grep -q ready "$home/echo-$1.out"
}

# Debian's redis-tools has the server as well, under another name; the package redis-server would
# only add a service that starts by itself.
redis_server() { exec -a redis-server redis-check-rdb "$@"; }
redis_says() { redis-cli -p "$1" INFO replication 2>/dev/null | grep -q "$2"; }
start_redis() {
  local i
  for i in 0 1 2; do
    mkdir "$home/redis$i"
    local of=()
    [[ $i -eq 0 ]] || of=(--replicaof 127.0.0.1 $((port + 20)))
    start "redis$i" redis_server --bind 127.0.0.1 --port $((port + 20 + i)) --dir "$home/redis$i" \
      --save '' --appendonly yes --appendfsync always "${of[@]}"
    redis_pids+=("redis$i=${started[-1]}")
  done
  await "Redis with two replicas" redis_says $((port + 20)) connected_slaves:2
  for i in 1 2; do
    await "replica $i of Redis" redis_says $((port + 20 + i)) master_link_status:up
  done
}

start_etcd() {
  local i all=''
  for i in 1 2 3; do all+="${all:+,}e$i=http://127.0.0.1:$((port + 40 + i))"; done
  for i in 1 2 3; do
    local client=http://127.0.0.1:$((port + 30 + i)) peer=http://127.0.0.1:$((port + 40 + i))
    start "etcd$i" etcd --name "e$i" --data-dir "$home/etcd$i" --initial-cluster "$all" \
      --initial-cluster-state new --listen-client-urls "$client" --advertise-client-urls "$client" \
      --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --log-level error
    etcd_pids+=("etcd$i=${started[-1]}")
  done
  for i in 1 2 3; do
    await "member $i of etcd" curl -fs -o "$home/health" "http://127.0.0.1:$((port + 30 + i))/health"
  done
}

failures=0
measure() { # FIGURE OPTIONS...
  local figure=$1 json
  shift
  if ! json=$("$bin/test/bench/gyre-bench" --json --records "$records" --in-flight 256 "$@"); then
    failures=$((failures + 1))
    echo "$figure went wrong: $*" >&2
  fi
  [[ -z $json ]] || printf '%s\t%s\n' "$figure" "$json" >>"$home/runs"
}
timed() { measure "$@" --seconds "$seconds" --warm-up "$warm_up"; }
joined() { local IFS=,; echo "$*"; }

say "Packages and build"
"$repo/deploy/packages.sh" bench
(cd "$repo" && cmake --preset release --log-level=WARNING &&
  cmake --build build/release --target gyred gyre_bench gyre_echo)

say "Servers"
declare -A echo_pids=()
gyre_pids=() etcd_pids=() redis_pids=()
start_gyre
start_echo callback $((port + 10))
start_echo queue $((port + 11))
start_etcd
start_redis
gyre=(--connect "127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2)),127.0.0.1:$((port + 3))"
  --pids "$(joined "${gyre_pids[@]}")")
etcd=(--target etcd --pids "$(joined "${etcd_pids[@]}")"
  --connect "127.0.0.1:$((port + 31)),127.0.0.1:$((port + 32)),127.0.0.1:$((port + 33))")
redis=(--target redis --connect "127.0.0.1:$((port + 20))" --pids "$(joined "${redis_pids[@]}")")
by_callback=(--connect "127.0.0.1:$((port + 10))" --pids "${echo_pids[callback]}" --workload write)
by_queue=(--connect "127.0.0.1:$((port + 11))" --pids "${echo_pids[queue]}" --workload write)
echo "Cassandra: skipped, it is not in Debian, and nothing here fetches it"

say "Loading $records records of 1 KiB"
measure load-gyre "${gyre[@]}" --workload load
measure load-etcd "${etcd[@]}" --workload load
measure load-redis "${redis[@]}" --workload load

for round in $(seq "$rounds"); do
  say "Round $round of $rounds"
  timed echo-callback --target echo-callback "${by_callback[@]}"
  timed gyre-put "${gyre[@]}" --workload write
  timed etcd-put "${etcd[@]}" --workload write
  timed redis-put "${redis[@]}" --workload write
  timed echo-queue --target echo-queue "${by_queue[@]}"
  timed gyre-get "${gyre[@]}" --workload read
  timed etcd-get "${etcd[@]}" --workload read
  timed redis-get "${redis[@]}" --workload read
  timed echo-stream --target echo-stream "${by_callback[@]}"
  timed gyre-half "${gyre[@]}" --workload half
  timed etcd-half "${etcd[@]}" --workload half
  timed redis-half "${redis[@]}" --workload half
done

say "Figures, 256 in flight, values of 1 KiB"
/usr/bin/python3 -B "$repo/test/bench/compare_runs.py" "$home/runs"
[[ $failures -eq 0 ]] || die "$failures runs went wrong"
