# What compare.sh and targets.sh share: starts the servers that gyre-bench puts under load, and
# ends them. To be sourced; then call read_options. Sets `repo`, `bin` and `home`, a scratch folder
# with the logs of all, which is kept where something went wrong. What was started is in options_of:
# by the name of the store, the options that lead gyre-bench to it.
#
# GYRE_BENCH_PORT (default 9100) is the first of the ports, which they take up to +160.
# shellcheck shell=bash
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$repo/build/release
port=${GYRE_BENCH_PORT:-9100}
save='' home='' # set by read_options

declare -A options_of=()
started=() # process ids, each a child of ours until we have waited for it
finish() {
  local status=$? pid
  trap - EXIT INT TERM
  for pid in "${started[@]}"; do
    kill -s TERM "$pid" 2>/dev/null || true
    kill -s CONT "$pid" 2>/dev/null || true # where it was put to sleep
  done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [[ $status -eq 0 ]]; then
    rm -rf "$home"
  else
    find "$home" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} + # what the stores held
    echo "logs: $home" >&2
  fi
  exit "$status"
}

# Prints the comment that the script opens with.
usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
# For a script to say otherwise: takes a flag of its own, or answers false.
take_flag() { false; }
# Takes --save FOLDER and what take_flag knows, and makes what the script works in.
read_options() { # WORDS...
  while [[ $# -gt 0 ]]; do
    if [[ $1 == --save && -n ${2:-} ]]; then
      save=$2
      shift
    else
      take_flag "$1" || usage
    fi
    shift
  done
  if [[ $save ]]; then
    mkdir -p "$save"
    save=$(cd "$save" && pwd)
  fi
  home=$(mktemp -d "${TMPDIR:-/tmp}/gyre-bench.XXXXXX")
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() {
  printf '%s: %s\n' "$0" "$*" >&2
  exit 1
}
joined() { local IFS=,; echo "$*"; }

start() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$home/$name.out" 2>&1 </dev/null &
  started+=($!)
}
await() { # WHAT COMMAND..., up to `patience` tenths of a second
  local what=$1 _
  shift
  for _ in $(seq "${patience:-150}"); do
    "$@" && return
    kill -0 "${started[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$home"/*.out >&2
  die "$what did not come up"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The loopback addresses of the ports FIRST to FIRST + COUNT - 1, with commas between.
addresses() { # FIRST COUNT
  local i all=()
  for ((i = 0; i < $2; ++i)); do all+=("127.0.0.1:$(($1 + i))"); done
  joined "${all[@]}"
}

# ------------------------------------------------------------------------------------------- runs

# What idle servers do in the background would be taken from the cores of the one that is measured:
# six of Cassandra's make a loaded machine by themselves. So a store can be put to sleep, whole and
# where it stands, and wakes for its own turns.
asleep='' # yes: all but the store that is measured are
signal() { # SIGNAL STORE
  local pids
  mapfile -t pids < <(grep -oP -- '--pids \K\S+' <<<"${options_of[$2]}" | grep -oP '=\K[0-9]+')
  kill -s "$1" "${pids[@]}"
}
put_all_to_sleep() {
  local store
  for store in "${!options_of[@]}"; do signal STOP "$store"; done
  asleep=yes
}
wake_all() {
  local store
  for store in "${!options_of[@]}"; do signal CONT "$store"; done
  asleep=''
}

bench() { # STORE OPTIONS...
  local store=$1 options code=0
  shift
  read -ra options <<<"${options_of[$store]}"
  if [[ $asleep ]]; then
    signal CONT "$store"
    sleep 0.5 # members of a cluster find each other again
  fi
  "$bin/test/bench/gyre-bench" --json --in-flight 256 "${options[@]}" "$@" || code=$?
  [[ -z $asleep ]] || signal STOP "$store"
  return "$code"
}
# Appends the figure's name and what gyre-bench told to $home/runs.
failures=0
measure() { # FIGURE STORE OPTIONS...
  local figure=$1 json='' code=0
  shift
  json=$(bench "$@") || code=$?
  # Where requests of a peer failed, the table tells how many, and compare_runs.py takes no ratio.
  if [[ $code -gt 1 || ($code -eq 1 && ($1 == gyre* || $1 == echo* || $figure == *-load)) ]]; then
    failures=$((failures + 1))
    echo "$figure went wrong, with exit code $code" >&2
  fi
  [[ -z $json ]] || printf '%s\t%s\n' "$figure" "$json" >>"$home/runs"
}

# ------------------------------------------------------------------------------------------- Gyre

# Three nodes of a cluster of that name, each with a folder $home/NAME-n1 to 3 for its data.
start_gyre() { # NAME PORT, which it takes up to +9, and MORE of the configuration
  local name=$1 first=$2 more=${3:-} i j pids=()
  for i in 0 1 2; do
    local node=$name-n$((i + 1))
    {
      printf 'cluster_name: "%s"\nnode_name: "n%d"\n%s\n' "$name" $((i + 1)) "$more"
      printf 'data_dir: "%s"\nhttp_listen: "127.0.0.1:%d"\n' "$home/$node" $((first + 6 + i))
      for j in 0 1 2; do
        printf 'members { name: "n%d" zone: "zone-%d"' $((j + 1)) $((j + 1))
        printf ' client_address: "127.0.0.1:%d" peer_address: "127.0.0.1:%d" }\n' \
          $((first + j)) $((first + 3 + j))
      done
    } >"$home/$node.config"
    start "$node" "$bin/server/gyred" --config "$home/$node.config" --log-file "$home/$node.jsonl"
    pids+=("n$((i + 1))=${started[-1]}")
  done
  for i in 1 2 3; do await "$name-n$i" grep -qs '"event":"ready"' "$home/$name-n$i.jsonl"; done
  options_of[$name]="--connect $(addresses "$first" 3) --pids $(joined "${pids[@]}")"
}

# ------------------------------------------------------------------------------------------- peers

start_echo() { # FORM PORT
  start "echo-$1" "$bin/test/bench/gyre-echo" "$1" "127.0.0.1:$2"
  await "the echo by $1" grep -q ready "$home/echo-$1.out"
  options_of[echo-$1]="--target echo-$1 --connect 127.0.0.1:$2 --pids echo=${started[-1]}"
}

# Debian's redis-tools has the server as well, under another name; the package redis-server would
# only add a service that starts by itself.
redis_server() { exec -a redis-server redis-check-rdb "$@"; }
redis_says() { redis-cli -p "$1" "$2" "$3" 2>/dev/null | grep -q "$4"; }
start_redis_server() { # NAME PORT OPTIONS...
  local name=$1 at=$2
  shift 2
  mkdir "$home/$name"
  start "$name" redis_server --bind 127.0.0.1 --port "$at" --dir "$home/$name" --save '' \
    --appendonly yes --appendfsync always --repl-timeout 3600 "$@"
}
start_redis() {
  local i pids=()
  for i in 0 1 2; do
    local of=()
    [[ $i -eq 0 ]] || of=(--replicaof 127.0.0.1 $((port + 20)))
    start_redis_server "redis$i" $((port + 20 + i)) "${of[@]}"
    pids+=("redis$i=${started[-1]}")
  done
  await "Redis with two replicas" redis_says $((port + 20)) INFO replication connected_slaves:2
  for i in 1 2; do
    await "replica $i of Redis" redis_says $((port + 20 + i)) INFO replication master_link_status:up
  done
  options_of[redis]="--target redis --connect 127.0.0.1:$((port + 20))"
  options_of[redis]+=" --pids $(joined "${pids[@]}")"
}
start_redis_cluster() {
  local i first=$((port + 50)) pids=()
  for i in 0 1 2 3 4 5; do
    start_redis_server "redis-cluster$i" $((first + i)) --cluster-enabled yes \
      --cluster-port $((first + 10 + i)) --cluster-node-timeout 3600000
    pids+=("redis-cluster$i=${started[-1]}")
  done
  for i in 0 1 2 3 4 5; do
    await "node $i of the Redis Cluster" redis_says $((first + i)) PING '' ''
  done
  local nodes
  IFS=, read -ra nodes <<<"$(addresses "$first" 6)"
  redis-cli --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes \
    >"$home/redis-cluster.out" 2>&1
  for i in 0 1 2; do
    await "the replica of primary $i" redis_says $((first + i)) INFO replication connected_slaves:1
    await "primary $i in its cluster" redis_says $((first + i)) CLUSTER INFO cluster_state:ok
  done
  options_of[redis-cluster]="--target redis-cluster --redis-replicas 0"
  options_of[redis-cluster]+=" --connect $(addresses "$first" 3) --pids $(joined "${pids[@]}")"
}

start_etcd() {
  local i all=() pids=()
  for i in 1 2 3; do all+=("e$i=http://127.0.0.1:$((port + 40 + i))"); done
  for i in 1 2 3; do
    local client=http://127.0.0.1:$((port + 30 + i)) peer=http://127.0.0.1:$((port + 40 + i))
    start "etcd$i" etcd --name "e$i" --data-dir "$home/etcd$i" --log-level error \
      --initial-cluster "$(joined "${all[@]}")" --initial-cluster-state new \
      --listen-client-urls "$client" --advertise-client-urls "$client" \
      --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer"
    pids+=("etcd$i=${started[-1]}")
  done
  for i in 1 2 3; do
    await "member $i of etcd" \
      curl -fs -o "$home/health" "http://127.0.0.1:$((port + 30 + i))/health"
  done
  options_of[etcd]="--target etcd --connect $(addresses $((port + 31)) 3)"
  options_of[etcd]+=" --pids $(joined "${pids[@]}")"
}

# Apache's jars, as cassandra.pom.xml names them. Fetched once; false, with the reason printed,
# where Maven Central cannot be reached.
cassandra_jars=$repo/build/cassandra
fetch_cassandra() {
  [[ ! $cassandra_jars/complete -nt $repo/test/bench/cassandra.pom.xml ]] || return 0
  rm -rf "$cassandra_jars"
  if mvn --quiet --batch-mode --file "$repo/test/bench/cassandra.pom.xml" \
    dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cassandra_jars" \
    >"$home/mvn.out" 2>&1; then
    touch "$cassandra_jars/complete"
  else
    echo "Cassandra: skipped, for its jars cannot be had: $(grep -m1 ERROR "$home/mvn.out")" >&2
    return 1
  fi
}

# What bin/cassandra of the distribution passes on Java 17, with a heap that leaves room for six
# nodes, and without the pauses for machines that join.
cassandra_java() {
  local at
  local java=(java -Xms1g -Xmx1g -Xss256k -XX:+UseG1GC -XX:+ParallelRefProcEnabled
    -XX:MaxGCPauseMillis=300 -XX:InitiatingHeapOccupancyPercent=70 -XX:+AlwaysPreTouch
    -XX:+PerfDisableSharedMem -XX:+UseThreadPriorities -XX:+ExitOnOutOfMemoryError
    -Dio.netty.tryReflectionSetAccessible=true -Dio.netty.allocator.maxOrder=11
    -Dio.netty.allocator.useCacheForAllThreads=true
    -Djdk.attach.allowAttachSelf=true -Dcassandra.jmx.local.port=0
    -Dcassandra.consistent.rangemovement=false -Dcassandra.ring_delay_ms=1000
    -Dcassandra.skip_wait_for_gossip_to_settle=0
    -Dlogback.configurationFile="$repo/test/bench/cassandra.logback.xml"
    --add-exports java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED
    --add-exports java.sql/java.sql=ALL-UNNAMED
    --add-opens java.management/com.sun.jmx.mbeanserver=ALL-UNNAMED)
  for at in jdk.internal.misc jdk.internal.ref sun.nio.ch; do
    java+=(--add-exports "java.base/$at=ALL-UNNAMED")
  done
  for at in sun.rmi.registry sun.rmi.server; do
    java+=(--add-exports "java.rmi/$at=ALL-UNNAMED")
  done
  for at in java.io java.lang.module java.net java.nio java.util java.util.concurrent \
    java.util.concurrent.atomic jdk.internal.loader jdk.internal.math jdk.internal.module \
    jdk.internal.ref jdk.internal.reflect jdk.internal.util.jar sun.nio.ch; do
    java+=(--add-opens "java.base/$at=ALL-UNNAMED")
  done
  LD_PRELOAD=libjemalloc.so.2 exec "${java[@]}" "$@"
}
start_cassandra() { # SYNC PORT, which it takes up to +19
  local sync=$1 first=$2 period='' i pids=()
  [[ $sync == batch ]] || period='commitlog_sync_period: 10000ms'
  for i in 0 1 2; do
    local name=cassandra-$sync$i
    mkdir "$home/$name"
    cat >"$home/$name/cassandra.yaml" <<YAML
cluster_name: bench-$sync
num_tokens: 16
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
auto_bootstrap: false
commitlog_sync: $sync
$period
data_file_directories: [$home/$name/data]
commitlog_directory: $home/$name/commitlog
hints_directory: $home/$name/hints
saved_caches_directory: $home/$name/saved_caches
cdc_raw_directory: $home/$name/cdc_raw
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "127.0.0.1:$((first + 10))"}]
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
native_transport_port: $((first + i))
storage_port: $((first + 10 + i))
YAML
    start "$name" cassandra_java -Dcassandra.storagedir="$home/$name" \
      -Dcassandra.config="file://$home/$name/cassandra.yaml" -cp "$cassandra_jars/*" \
      org.apache.cassandra.service.CassandraDaemon
    pids+=("$name=${started[-1]}")
    # One at a time, as Cassandra wants its nodes to join.
    patience=3000 await "$name" listens $((first + i))
  done
  options_of[cassandra-$sync]="--target cassandra --connect $(addresses "$first" 3)"
  options_of[cassandra-$sync]+=" --pids $(joined "${pids[@]}")"
}
