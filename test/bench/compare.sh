#!/usr/bin/env bash
# Gyre beside its peers on this machine: three nodes, N=3, R=W=2, fsync; the bare gRPC echo in
# three forms; etcd, three members, linearizable gets; Redis, a primary with two replicas, WAIT 1,
# appendfsync always, and a Redis Cluster of three primaries and three replicas; Cassandra 5, three
# nodes, RF 3, QUORUM, once with commitlog_sync batch and once with periodic. They run in turns, so
# that a machine whose speed drifts favours none, and while one runs the others are asleep.
#
#   test/bench/compare.sh                3 rounds of 10 s a figure
#   test/bench/compare.sh --quick        3 rounds of 2 s a figure, without Cassandra's periodic
#                                        form: a rough answer in five minutes
#   test/bench/compare.sh --save FOLDER  and keeps the runs, the table and a plot there
#
# Prints a table of medians with least and most, and a line for each ratio, also a median over the
# rounds: gyre-bench: <name>=<ratio>; none where requests failed. docs/benchmarks.md says what is
# not equal between the peers. GYRE_BENCH_PORT (default 9100) is the first of the ports, which it
# takes up to +160. Cassandra comes from Maven Central; where that cannot be reached it is skipped,
# and told so.
# Exit code 0 if every run could be made, and no request of Gyre failed. All that it starts it ends,
# also on Ctrl-C.

# shellcheck source=test/bench/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"
rounds=3 seconds=10 warm_up=2 records=20000 syncs=(batch periodic)
take_flag() {
  [[ $1 == --quick ]] && seconds=2 warm_up=0.5 syncs=(batch)
}
read_options "$@"

timed() { measure "$@" --records "$records" --seconds "$seconds" --warm-up "$warm_up"; }

say "Packages and build"
"$repo/deploy/packages.sh" bench
(cd "$repo" && cmake --preset release --log-level=WARNING &&
  cmake --build build/release --target gyred gyre_bench gyre_echo)

say "Servers"
start_gyre gyre "$port"
start_echo callback $((port + 10))
start_echo queue $((port + 11))
options_of[echo-stream]=${options_of[echo-callback]/echo-callback/echo-stream}
start_etcd
start_redis
start_redis_cluster
stores=(gyre etcd redis redis-cluster)
declare -A cassandra_port=([batch]=$((port + 70)) [periodic]=$((port + 130)))
if fetch_cassandra; then
  for sync in "${syncs[@]}"; do
    start_cassandra "$sync" "${cassandra_port[$sync]}"
    stores+=("cassandra-$sync")
  done
fi

put_all_to_sleep

say "Loading $records records of 1 KiB"
measure gyre-periodic-load gyre --records "$records" --table periodic --periodic --workload load
for store in "${stores[@]}"; do
  measure "$store-load" "$store" --records "$records" --workload load
done
for store in "${stores[@]}"; do
  # A Java process begins slowly: its first requests are no figure.
  [[ $store != cassandra* ]] || bench "$store" --records "$records" --workload half --seconds 20 \
    --warm-up 0 >"$home/$store.warm-up" 2>&1 || echo "$store: requests of its warm-up failed" >&2
done

for round in $(seq "$rounds"); do
  say "Round $round of $rounds"
  for three in put:write:callback get:read:queue half:half:stream; do
    IFS=: read -r figure workload form <<<"$three"
    timed "echo-$form" "echo-$form" --workload write
    [[ $figure != get ]] || timed echo-callback-get echo-callback --workload write
    for store in "${stores[@]}"; do timed "$store-$figure" "$store" --workload "$workload"; done
  done
  stores=("${stores[@]:1}" "${stores[0]}") # who leaves the disk busy for whom
  timed gyre-periodic-put gyre --table periodic --periodic --workload write
  timed echo-callback-64 echo-callback --workload write --connections 64
  timed gyre-unary-get gyre --target gyre-unary --connections 64 --workload read
done

say "Figures, 256 in flight, values of 1 KiB"
/usr/bin/python3 -B "$repo/test/bench/compare_runs.py" "$home/runs" \
  ${save:+--svg "$save/compare.svg"} | tee "$home/figures"
[[ -z $save ]] || cp "$home/runs" "$home/figures" "$save"
[[ $failures -eq 0 ]] || die "$failures runs went wrong"
