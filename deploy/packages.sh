#!/usr/bin/env bash
# The one list of Debian 12 packages that Gyre builds, runs and tests with.
#
#   deploy/packages.sh          what building, deploy/local.sh and test/run.sh need
#   deploy/packages.sh full     and what `test/run.sh --full` needs on top: clang, valgrind, ...
#   deploy/packages.sh bench    and the peers of test/bench/compare.sh on top
#   deploy/packages.sh drill    and what test/k8s_drill.sh needs on top: a container engine
#   deploy/packages.sh image    only the libraries that gyred and gyre run with
#
# Installs only what is missing, so that a second call needs neither root nor a network.
set -euo pipefail

base=(
  # the build
  ca-certificates ccache cmake g++ make mold ninja-build pkg-config protobuf-compiler
  protobuf-compiler-grpc
  # the libraries
  libabsl-dev libcli11-dev libcpp-httplib-dev libgrpc++-dev libjemalloc-dev libprotobuf-dev
  librocksdb-dev libspdlog-dev libxxhash-dev libzstd-dev
  prometheus-cpp-dev
  # the tests
  libbenchmark-dev libgmock-dev libgtest-dev librapidcheck-dev python3 python3-yaml
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
# docker.io starts a service where the machine lets packages do so; the drill has a daemon of its
# own.
drill=(containerd debootstrap docker.io runc)
# test/kubernetes/image_test.py holds this against what the programs are linked with.
image=(
  libabsl20220623 libbrotli1 libbz2-1.0 libc-ares2 libc6 libcpp-httplib0.11 libfmt9 libgcc-s1
  libgrpc++1.51 libgrpc29 libjemalloc2 liblz4-1 libprometheus-cpp-core1.0 libprotobuf32 libre2-9
  libsnappy1v5 libspdlog1.10 libssl3 libstdc++6 libxxhash0 libzstd1 zlib1g
)

wanted=("${base[@]}")
case "${1:-base}" in
  base) ;;
  full) wanted+=("${full[@]}") ;;
  bench) wanted+=("${bench[@]}") ;;
  drill) wanted+=("${drill[@]}") ;;
  image) wanted=("${image[@]}") ;;
  *) echo "usage: ${0##*/} [base|full|bench|drill|image]" >&2; exit 2 ;;
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
