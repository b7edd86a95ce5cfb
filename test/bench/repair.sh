#!/usr/bin/env bash
# What continuous repair costs: three nodes on this machine, N=3, 1,000,000 records of 1 KiB.
#
#   test/bench/repair.sh                 all, in some 5 minutes; needs 6 GiB of disk in TMPDIR
#   test/bench/repair.sh --save FOLDER   and keeps what the load generator told
#
#   idle_cpu_s  CPU of all nodes, and
#   idle_bytes  bytes between them, headers included, in the time of one round of exchanges over the
#               whole cluster while all are in sync: whatever else idle nodes do is in them
#   wire_ratio  one node was down while 1,000 records were written. Bytes between the nodes from its
#               start until it has them, less what idle nodes send in that time, by the bytes of the
#               keys and values of those records
#
# Ends with a line: gyre-repair: idle_cpu_s=<x> idle_bytes=<n> missing=1000 wire_ratio=<x>.
# GYRE_BENCH_PORT (default 9100) is the first of the ports, which it takes up to +8. Bytes are those
# of the loopback interface, so nothing else should talk on it. Exit code 0 if every run went well
# and the node had what it missed.

# shellcheck source=test/bench/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"
read_options "$@"

records=1000000 missing=1000 round_s=10 rounds=6
record_bytes=$((1024 + 16)) # and a key of sixteen bytes

loopback_bytes() { awk '$1 == "lo:" { print $2 }' /proc/net/dev; }
cpu_ticks() { # of the nodes that run
  local pid sum=0
  for pid in "${nodes[@]}"; do
    sum=$((sum + $(cut -d ' ' -f 14,15 "/proc/$pid/stat" | tr ' ' '+')))
  done
  echo "$sum"
}
figure() { # NODE METRIC
  curl -fs "http://127.0.0.1:$((port + 5 + $1))/metrics" | awk -v name="$2" '$1 == name { print $2 }'
}
in_sync() {
  local node
  for node in 1 2 3; do [[ $(figure "$node" gyre_missing_dots) == 0 ]] || return 1; done
}

say "Packages and build"
"$repo/deploy/packages.sh"
(cd "$repo" && cmake --preset release --log-level=WARNING &&
  cmake --build build/release --target gyred gyre_bench)

say "Three nodes with $records records"
start_gyre repair "$port" "repair_interval_ms: $((round_s * 1000))"
nodes=("${started[@]}")
measure load repair --workload load --records "$records"
await "a cluster in sync" in_sync
sleep $((3 * round_s)) # each owner has been asked by each other one, and compactions are through

say "In sync"
bytes=$(loopback_bytes) ticks=$(cpu_ticks)
sleep $((rounds * round_s))
idle_bytes=$((($(loopback_bytes) - bytes) / rounds))
idle_ticks=$(($(cpu_ticks) - ticks))

say "One node is down while $missing records are written"
kill -s TERM "${nodes[2]}"
wait "${nodes[2]}" || die "the node did not end in order"
measure missed repair --workload load --records "$missing"
before=$(grep -c '"event":"ready"' "$home/repair-n3.jsonl")
bytes=$(loopback_bytes)
start repair-n3 "$bin/server/gyred" --config "$home/repair-n3.config" \
  --log-file "$home/repair-n3.jsonl"
ready_again() { [[ $(grep -c '"event":"ready"' "$home/repair-n3.jsonl") -gt $before ]]; }
await "the node that was down" ready_again
sleep $((2 * round_s))
wire_bytes=$(($(loopback_bytes) - bytes - 2 * idle_bytes))
repaired=$(figure 3 gyre_repaired_items_total)
[[ $repaired -ge $missing ]] || die "only $repaired of $missing records were repaired"
in_sync || die "the owners are not in sync"

[[ -z $save ]] || cp "$home/runs" "$save"
[[ $failures -eq 0 ]] || die "$failures runs went wrong"
awk -v ticks="$idle_ticks" -v hz="$(getconf CLK_TCK)" -v rounds="$rounds" -v bytes="$idle_bytes" \
  -v missing="$missing" -v wire="$wire_bytes" -v record="$record_bytes" 'BEGIN {
    printf "gyre-repair: idle_cpu_s=%.2f idle_bytes=%d missing=%d wire_ratio=%.2f\n",
           ticks / hz / rounds, bytes, missing, wire / (missing * record)
  }'
