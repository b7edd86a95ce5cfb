#!/usr/bin/env bash
# The one list of Debian 12 packages that Gyre builds, runs and tests with.
#
#   deploy/packages.sh          what building, deploy/local.sh and test/run.sh need
#   deploy/packages.sh full     and what `test/run.sh --full` needs on top: clang, valgrind, ...
#   deploy/packages.sh bench    and the peers of test/bench/compare.sh on top
#
# Installs only what is missing, so that a second call needs neither root nor a network.
set -euo pipefail

base=(
  # the build
  ca-certificates ccache cmake g++ make mold ninja-build pkg-config protobuf-compiler
  protobuf-compiler-grpc
  # the libraries
  libabsl-dev libcli11-dev libcpp-httplib-dev libgrpc++-dev libjemalloc-dev libprotobuf-dev
  librocksdb-dev libspdlog-dev libxxhash-dev prometheus-cpp-dev
  # the tests
  libbenchmark-dev libgmock-dev libgtest-dev librapidcheck-dev python3
  # faults of real processes: network namespaces and drops, disk images, failing syncs
  e2fsprogs iproute2 mount nftables strace util-linux
  # the cart example and its test
  curl python3-fastapi python3-grpc-tools python3-grpcio python3-httpx python3-protobuf
  python3-uvicorn
)
full=(clang clang-format clang-tidy libclang-rt-14-dev llvm shellcheck valgrind)
# redis-tools has the server of Redis as well, as redis-check-rdb. etcd-server starts a service on
# ports 2379 and 2380 where the machine lets packages do so; compare.sh has no use for it.
# Apache Cassandra itself comes by maven from Maven Central.
bench=(etcd-server maven openjdk-17-jre-headless python3-matplotlib redis-tools)

wanted=("${base[@]}")
case "${1:-base}" in
  base) ;;
  full) wanted+=("${full[@]}") ;;
  bench) wanted+=("${bench[@]}") ;;
  *) echo "usage: ${0##*/} [base|full|bench]" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $state == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $(id -u) -ne 0 ]]; then
  echo "${0##*/}: not root, and these packages are missing: ${missing[*]}" >&2
  exit 1
fi
echo "installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1 ||
    { cat "$log" >&2; exit 1; }
}
apt_get update
apt_get install -y --no-install-recommends "${missing[@]}"
