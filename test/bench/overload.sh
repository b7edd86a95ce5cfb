#!/usr/bin/env bash
# What a cluster does with more than it can serve: three nodes on this machine, N=3, R=W=2.
#
#   test/bench/overload.sh                 all, in some 3 minutes
#   test/bench/overload.sh --save FOLDER   and keeps what the load generators told
#
# The nodes share one core, and whoever asks has the other: what it costs to ask three times too
# much is not taken from those who answer.
#
#   best_per_s   the requests (workload a: half reads, half writes) that a closed loop had answered
#                well in a second: with as many in flight as did best, of 256, 1,024 and 2,048;
#                then the median of four times
#   at_3x_ratio  what is answered well in a second while open loops ask for three times best_per_s,
#                of what the closed loops right before and right after had, for the machine is not
#                as fast at all times: the median of three. It is driven by four SDK clients, so
#                that no window of one holds the load back; who is refused comes again as far as
#                the SDK's budget goes, and where most are refused the SDK sends fewer (arrived)
#   arrived      what came to the nodes meanwhile, as told by them, of what they answered before
#   recovered_s  after that load ends, an open loop asks for half of best_per_s: until a
#                first two seconds in which every half second had 95 of 100 answered well, and none
#                failed
#
# Ends with a line: gyre-overload: best_per_s=<n> at_3x_ratio=<x> recovered_s=<x>.
# GYRE_BENCH_PORT (default 9100) is the first of the ports, which it takes up to +8. Exit code 0 if
# at_3x_ratio is at least 0.90 and recovered_s at most 5.

# shellcheck source=test/bench/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"
read_options "$@"

seconds=10 askers=4 rounds=3
[[ $(nproc) -ge 2 ]] || die "needs two cores: one for the nodes, one for who asks"

ask() { # OUTPUT OPTIONS...
  local output=$1 options
  shift
  read -ra options <<<"${options_of[overload]}"
  taskset -c 1 "$bin/test/bench/gyre-bench" --json --workload a --seconds "$seconds" \
    "${options[@]}" "$@" >"$home/$output.json"
}
told() { # OUTPUT FIGURE
  python3 -c 'import json, sys; print(round(json.load(open(sys.argv[1]))[sys.argv[2]]))' \
    "$home/$1.json" "$2"
}
figure() { # METRIC, of all nodes
  local node
  for node in 1 2 3; do
    curl -fs "http://127.0.0.1:$((port + 5 + node))/metrics" |
      awk -v name="$1" '$1 == name { print $2 }'
  done | awk '{ sum += $1 } END { printf "%d", sum }'
}

say "Packages and build"
"$repo/deploy/packages.sh"
(cd "$repo" && cmake --preset release --log-level=WARNING &&
  cmake --build build/release --target gyred gyre_bench)

say "Three nodes on one core"
start_gyre overload "$port"
for pid in "${started[@]}"; do taskset -a -c -p 0 "$pid" >>"$home/taskset.out"; done
bench overload --workload load >>"$home/load.out"

closed() { # OUTPUT IN-FLIGHT
  local code=0 # 1: so many were more than fit
  ask "$1" --in-flight "$2" || code=$?
  [[ $code -le 1 ]] || die "the closed loop of $2 ended with code $code"
}
arrived() { # so far, at all nodes
  echo $(($(figure gyre_reads_total) + $(figure gyre_writes_total) +
    $(figure gyre_delay_overloads_total) + $(figure gyre_overloads_total)))
}
over() { # ROUND: three times best_per_s, and the moment that this ends, what else is given
  local pids=() pid i code before
  for ((i = 0; i < askers; ++i)); do # one after the other, for each makes sure of the table
    ask "over-$1-$i" --in-flight 8192 --rate $((3 * best / askers)) --seed $((i + 1)) \
      --warm-up $((1 + askers - i)) &
    pids+=($!)
    sleep 1
  done
  sleep 2
  before=$(arrived)
  sleep $((seconds - 2))
  echo $((($(arrived) - before) / (seconds - 2))) >"$home/arrived-$1"
  shift
  sleep 1
  "$@"
  for pid in "${pids[@]}"; do
    code=0
    wait "$pid" || code=$?
    # 1: requests were refused, and 4: so many were due that not all could be sent.
    [[ $code -eq 0 || $code -eq 1 || $code -eq 4 ]] || die "who asks ended with code $code"
  done
}

say "As much as they can serve"
best=0
for in_flight in 256 1024 2048; do
  closed scan "$in_flight"
  per_s=$(told scan per_s)
  echo "$in_flight in flight: $per_s/s"
  [[ $per_s -le $best ]] || best=$per_s fits=$in_flight
done

say "In turns with three times that"
half() {
  local code=0
  ask half --in-flight 8192 --rate $((best / 2)) --warm-up 0 --interval-ms 500 --seed 99 || code=$?
  [[ $code -le 1 ]] || die "the open loop of half the load ended with code $code"
}
for ((round = 1; round <= rounds; ++round)); do
  closed "closed-$round" "$fits"
  if [[ $round -lt $rounds ]]; then over "$round" true; else over "$round" half; fi
done
closed "closed-$((rounds + 1))" "$fits"

echo "refused: $(figure gyre_delay_overloads_total) for they would have waited too long," \
  "$(figure gyre_overloads_total) by a full door; not answered by enough replicas in time:" \
  "$(figure gyre_quorum_failures_total); hedges: $(figure gyre_hedges_total)," \
  "$(figure gyre_hedges_refused_total) refused; peers found slow: $(figure gyre_slow_peers_total)"
[[ -z $save ]] || cp "$home"/*.json "$save"
python3 - "$home" "$best" "$askers" "$rounds" <<'PYTHON'
import json
import statistics
import sys

home, best, askers, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


def told(name):
    with open(f"{home}/{name}.json", encoding="utf-8") as file:
        return json.load(file)


closed = [told(f"closed-{i + 1}")["per_s"] for i in range(rounds + 1)]
ratios = []
for i in range(rounds):
    over = [told(f"over-{i + 1}-{j}") for j in range(askers)]
    with open(f"{home}/arrived-{i + 1}", encoding="utf-8") as file:
        came = int(file.read())
    answered = sum(one["per_s"] for one in over)
    beside = (closed[i] + closed[i + 1]) / 2
    ratios.append(answered / beside)
    print(f"asked three times: answered {answered:.0f}/s of {beside:.0f}/s, "
          f"ratio {ratios[-1]:.2f}, arrived {came / beside:.1f} times, p99 "
          f"{max(one['latency']['all']['p99_ms'] for one in over):.0f} ms, failed "
          f"{sum(one['failed'] for one in over)}, unsent {sum(one['unsent'] for one in over)}")
recovered = good_for = 0.0
for interval in told("half")["intervals"]:
    span = interval["until_s"] - interval["from_s"]
    good = not interval["failed"] and interval["ended"] >= 0.95 * span * (best // 2)
    good_for = good_for + span if good else 0.0
    if not good:
        recovered = interval["until_s"]
    if good_for >= 1.99:
        break
ratio = statistics.median(ratios)
print(f"gyre-overload: best_per_s={statistics.median(closed):.0f} at_3x_ratio={ratio:.2f} "
      f"recovered_s={recovered:.1f}")
sys.exit(0 if ratio >= 0.90 and recovered <= 5 else 1)
PYTHON
