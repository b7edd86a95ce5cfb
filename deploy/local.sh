#!/usr/bin/env bash
# A three-node cluster on this machine, doing a real job.
#
#   deploy/local.sh         sets all up, loads the machine's own Debian package index, reads it
#                           back, kills a node under load, shows that nothing failed and nothing was
#                           lost, starts a shop on it, and leaves all of that running
#   deploy/local.sh stop    ends what it started
#   deploy/local.sh clean   ends it and removes its data
#
# GYRE_LOCAL_DIR (default: .gyre-local in the repository) holds data, logs and process ids.
# GYRE_LOCAL_PORT (default 7100) is the first of the ports: +1 to +3 clients, +101 to +103 peers,
# +201 to +203 HTTP, +980 the shop.
#
# The last line is for scripts: gyre-local: records=<n> load_per_s=<n> verify_errors=<n>
# failed_requests=<n> lost_writes=<n>. Exit code 0 only if the last three are 0.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=${GYRE_LOCAL_DIR:-$repo/.gyre-local}
port=${GYRE_LOCAL_PORT:-7100}
bin=$repo/build/release
connect=127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2)),127.0.0.1:$((port + 3))
shop=127.0.0.1:$((port + 980))

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() {
  printf 'deploy/local.sh: %s\n' "$*" >&2
  exit 1
}

# ------------------------------------------------------------------------------------ processes
# A process is recorded as its id and the moment it started, so that an id which the system has
# given to somebody else since is never taken for ours.
started_at() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null || true; }
record() { printf '%s %s\n' "$2" "$(started_at "$2")" >"$home/run/$1"; }
running() { # prints the process id
  local pid since
  read -r pid since 2>/dev/null <"$home/run/$1" || return 1
  [ -n "$since" ] && [ "$(started_at "$pid")" = "$since" ] && printf '%s\n' "$pid"
}
end_process() { # NAME SIGNAL, and waits for its end
  local pid
  pid=$(running "$1") || { rm -f "$home/run/$1"; return 0; }
  kill -s "$2" "$pid"
  for _ in $(seq 150); do
    running "$1" >/dev/null || break
    sleep 0.1
  done
  if running "$1" >/dev/null; then kill -s KILL "$pid"; fi
  rm -f "$home/run/$1"
}
stop_all() {
  local file
  for file in "$home"/run/drill "$home"/run/shop "$home"/run/n*; do
    [ -e "$file" ] && end_process "$(basename "$file")" TERM
  done
  return 0
}

# The directory is ours once it holds our mark: clean must not remove what somebody else put there.
mark=.made-by-deploy-local
claim_home() {
  if [ ! -e "$home/$mark" ] && [ -n "$(ls -A "$home" 2>/dev/null)" ]; then
    die "$home holds something else: empty it, or name another directory in GYRE_LOCAL_DIR"
  fi
  mkdir -p "$home/run" "$home/log" "$home/data"
  touch "$home/$mark"
}
clean() {
  [ -e "$home" ] || return 0
  [ -e "$home/$mark" ] || die "$home is not from deploy/local.sh: nothing was removed"
  stop_all
  rm -rf "$home/data" "$home/log" "$home/run" "$home/stubs"
  rm -f "$home/packages" "$home/drill" "$home"/n[123].config "$home/$mark"
  rmdir --ignore-fail-on-non-empty "$home"
}

members() {
  local i
  for i in 1 2 3; do
    printf 'members { name: "n%d" peer_address: "127.0.0.1:%d" client_address: "127.0.0.1:%d"' \
      "$i" $((port + 100 + i)) $((port + i))
    printf ' zone: "zone-%d" }\n' "$i"
  done
}
start_node() { # NUMBER
  local n=n$1 log=$home/log/n$1.jsonl
  {
    printf 'cluster_name: "local"\nnode_name: "%s"\ndata_dir: "%s"\nhttp_listen: "127.0.0.1:%d"\n' \
      "$n" "$home/data/$n" $((port + 200 + $1))
    members
  } >"$home/$n.config"
  local before=0
  [ -e "$log" ] && before=$(wc -l <"$log")
  setsid "$bin/server/gyred" --config "$home/$n.config" --log-file "$log" \
    >"$home/log/$n.out" 2>&1 </dev/null &
  record "$n" $!
  disown $!
  for _ in $(seq 100); do
    if [ -e "$log" ] && tail -n "+$((before + 1))" "$log" | grep -q '"event":"ready"'; then
      return
    fi
    running "$n" >/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$home/log/$n.out" "$log" >&2 || true
  die "node $n did not start; where others hold its ports, GYRE_LOCAL_PORT names another range"
}

# --------------------------------------------------------------------------------------- the job
# Every package that apt knows, each once: the last stanza of a name wins.
package_index() {
  local lists
  # shellcheck disable=SC2016  # the format is apt's
  lists=$(apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' 2>/dev/null || true)
  {
    local list
    for list in $lists; do
      [ -e "$list" ] && /usr/lib/apt/apt-helper cat-file "$list" && echo
    done
    [ -n "$lists" ] || cat /var/lib/dpkg/status
  } | awk 'BEGIN { RS = ""; ORS = "\n\n" }
           { name = $0; sub(/^(.*\n)?Package: /, "", name); sub(/\n.*/, "", name)
             if (!(name in stanza)) order[++count] = name
             stanza[name] = $0 }
           END { for (i = 1; i <= count; i++) print stanza[order[i]] }'
}
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([0-9.]*\).*/\1/p"; }
word() { sed -n "s/.* $1=\([0-9.]*\).*/\1/p"; }
gyre() { "$bin/api/cli/gyre" --connect "$connect" "$@"; }

run() {
  say "Packages and build"
  "$repo/deploy/packages.sh"
  (cd "$repo" && cmake --preset release --log-level=WARNING &&
    cmake --build build/release --target gyred gyre gyre_drive)
  claim_home
  stop_all
  rm -rf "$home/data" && mkdir "$home/data"

  say "Three nodes"
  local i
  for i in 1 2 3; do start_node "$i"; done
  gyre table create catalogue --replicas 3 --r 2 --w 2
  gyre status

  say "Loading the Debian package index, and reading it back with R=2"
  package_index >"$home/packages"
  local load
  load=$(gyre --json load "$home/packages" --table catalogue --format debian --verify --r 2) ||
    die "the load failed: $load"
  printf '%s\n' "$load"

  say "Killing n3 (SIGKILL) in the middle of a mixed load of 20 s, and bringing it back"
  "$bin/test/workload/gyre_drive" --connect "$connect" --workload mixed --table "drill" \
    --seconds 20 --rate 2000 --keys 4000 --clients 64 >"$home/drill" 2>&1 &
  local drill=$!
  record drill "$drill"
  sleep 6
  end_process n3 KILL
  echo "n3 is dead; the load goes on"
  sleep 6
  start_node 3
  echo "n3 is back"
  local drilled=0
  wait "$drill" || drilled=$?
  rm -f "$home/run/drill"
  cat "$home/drill"

  say "Converging"
  local converged=0
  for i in drill catalogue; do
    "$bin/test/workload/gyre_drive" --connect "$connect" --compare "$i" --seconds 60 || converged=1
  done

  say "A shop on it"
  setsid /usr/bin/python3 "$repo/deploy/examples/cart/cart.py" --gyre "$connect" --listen "$shop" \
    --stubs "$home/stubs" >"$home/log/shop.out" 2>&1 </dev/null &
  record shop $!
  disown $!
  for _ in $(seq 150); do
    curl -fs "http://$shop/healthz" >/dev/null 2>&1 && break
    running shop >/dev/null || die "the shop did not start: $(tail -n 5 "$home/log/shop.out")"
    sleep 0.2
  done
  curl -fs "http://$shop/healthz" >/dev/null || die "the shop does not answer"

  local records per_s errors lost failed disk
  records=$(field records <<<"$load")
  per_s=$(field per_s <<<"$load")
  errors=$(field verify_errors <<<"$load")
  failed=$(tail -n 1 "$home/drill" | word failed)
  lost=$(tail -n 1 "$home/drill" | word lost_writes)
  disk=$(du -sb "$home/data" | cut -f1)
  say "Summary"
  printf 'loaded     %s records at %s/s, p50 %s ms, p99 %s ms\n' "$records" "$per_s" \
    "$(field p50_ms <<<"$load")" "$(field p99_ms <<<"$load")"
  printf 'read back  %s/s, p50 %s ms, p99 %s ms, %s differ\n' "$(field verify_per_s <<<"$load")" \
    "$(field verify_p50_ms <<<"$load")" "$(field verify_p99_ms <<<"$load")" "$errors"
  printf 'under kill %s requests, %s failed, p50 %s ms, p99 %s ms, longest %s ms\n' \
    "$(tail -n 1 "$home/drill" | word requests)" "$failed" \
    "$(tail -n 1 "$home/drill" | word p50_ms)" "$(tail -n 1 "$home/drill" | word p99_ms)" \
    "$(tail -n 1 "$home/drill" | word max_ms)"
  printf 'on disk    %s bytes over three nodes, for %s bytes of records three times\n' "$disk" \
    "$(field bytes <<<"$load")"
  printf '\nThe cluster is up, and the shop at http://%s/. Try:\n\n' "$shop"
  printf '  export GYRE_CONNECT=%s\n' "$connect"
  printf '  %s get catalogue bash --explain\n' "$bin/api/cli/gyre"
  printf '  %s ring\n' "$bin/api/cli/gyre"
  printf '  %s status\n\n' "$bin/api/cli/gyre"
  printf 'gyre-local: records=%s load_per_s=%s verify_errors=%s ' "$records" "$per_s" "$errors"
  printf 'failed_requests=%s lost_writes=%s\n' "${failed:-unknown}" "${lost:-unknown}"
  [ "$records" -gt 0 ] && [ "$errors" = 0 ] && [ "$failed" = 0 ] && [ "$lost" = 0 ] &&
    [ "$drilled" = 0 ] && [ "$converged" = 0 ]
}

case "${1:-run}" in
  run) run ;;
  stop) stop_all ;;
  clean) clean ;;
  *) die "unknown command '$1': there are stop and clean, and none runs the job" ;;
esac
