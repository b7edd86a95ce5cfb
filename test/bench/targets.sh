#!/usr/bin/env bash
# What Gyre promises of itself: three nodes on this machine, N=3, R=W=2, values of 1 KiB, fsync, and
# block caches of 64 MiB, and half as much for records.
#
#   test/bench/targets.sh                all, in 20 to 60 minutes; needs 25 GiB of disk in TMPDIR
#   test/bench/targets.sh --save FOLDER  and keeps the runs and the plots there
#
#   half_p99_ms     p99 of puts and gets, half and half, at half of the most that they reached
#   day_failed      one billion requests a day (11,574/s, open loop, YCSB B), a node killed on the
#   day_p99_ms      way: requests that failed, and p99 but for the two seconds around the kill
#   resident_mib    memory of a node with 1,000,000 records
#   disk_ratio      bytes on disk of a node by those of its keys and values, settled
#   put_cost_ratio  CPU of a put among 3,000,000 records by that among 100,000, in two clusters in
#                   turns
#
# Ends with a line for each: gyre-bench: <name>=<figure>, of three nodes the largest. Where a figure
# is a median, the table above has the least and the most. GYRE_BENCH_PORT (default 9100) is the
# first of the ports, which it takes up to +20. Exit code 0 if every run went well.

# shellcheck source=test/bench/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"
read_options "$@"

plot=() # and the name of the file behind it
[[ -z $save ]] || plot=("--svg=$save/")
last_per_s() { tail -n 1 "$home/runs" | grep -oP '"per_s":\K[0-9]+'; }
# Until the folders have not changed their sizes for twenty seconds: compactions are through, and
# one that waits for a core is not taken for none. The newest writes stay in logs and memtables, up
# to 96 MiB of log a node. Then they sleep, but for the one that is measured: two clusters share
# cores and disk.
settle() {
  local before='' now still=0 _
  wake_all
  for _ in $(seq 600); do
    sleep 1
    now=$(du -sb "$home"/gyre-*-n? 2>/dev/null) || true # files that go meanwhile
    if [[ $now == "$before" ]]; then still=$((still + 1)); else still=0; fi
    if [[ $still -ge 20 ]]; then
      put_all_to_sleep
      return
    fi
    before=$now
  done
  die "the stores do not settle"
}
pid_of() { # STORE NODE
  grep -oP "$2=\K[0-9]+" <<<"${options_of[$1]}"
}

say "Packages and build"
"$repo/deploy/packages.sh"
(cd "$repo" && cmake --preset release --log-level=WARNING &&
  cmake --build build/release --target gyred gyre_bench)

few=100000 many=1000000 most=3000000
say "Two clusters, with $few and with $many records"
start_gyre gyre-few "$port" "block_cache_mib: 64"
start_gyre gyre-most $((port + 10)) "block_cache_mib: 64"
put_all_to_sleep
measure few-load gyre-few --workload load --records "$few"
measure many-load gyre-most --workload load --records "$many"

say "Memory and disk with $many records"
settle
disk_bytes=$(du -sb "$home"/gyre-most-n? | sort -n | tail -n 1 | cut -f 1)
measure many-half gyre-most --workload half --records "$many" --seconds 30

say "Latency at half of the most that is reached"
for _ in 1 2 3; do
  measure half-best gyre-few --workload half --records "$few" --seconds 10
  measure half-rate gyre-few --workload half --records "$few" --seconds 20 \
    --rate $(($(last_per_s) / 2)) "${plot[@]/%/half-rate.svg}"
done

say "The cost of a put with $few and with $most records"
measure most-load gyre-most --workload load --records "$most"
for _ in 1 2 3 4 5; do
  settle
  measure few-put gyre-few --workload write --records "$few" --seconds 20 --warm-up 5
  settle
  measure most-put gyre-most --workload write --records "$most" --seconds 20 --warm-up 5
done

say "A billion requests a day, and a node killed after half a minute"
settle
wake_all
signal STOP gyre-most
victim=$(pid_of gyre-few n3)
killer() { # ends at once when this script does
  local code=0
  read -r -t 32 || code=$?
  [[ $code -le 128 ]] || kill -s KILL "$victim"
}
exec 4> >(killer)
measure day gyre-few --workload b --records "$few" --rate 11574 --seconds 60 --warm-up 2 \
  --exclude 29 31 "${plot[@]/%/day.svg}"
exec 4>&-
! kill -0 "$victim" 2>/dev/null || die "the node was not killed"

say "Figures"
/usr/bin/python3 -B "$repo/test/bench/target_runs.py" "$home/runs" --records "$many" \
  --disk-bytes "$disk_bytes" | tee "$home/figures"
[[ -z $save ]] || cp "$home/runs" "$home/figures" "$save"
[[ $failures -eq 0 ]] || die "$failures runs went wrong"
