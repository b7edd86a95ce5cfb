#!/usr/bin/env bash
# What docs/kubernetes.md says of pods that come, go, move and lose their volumes, in containers of
# the image, and with the configuration and the arguments, that deploy/ has for them:
#
#   test/k8s_drill.sh                 containers of a Docker daemon of its own, as root
#   test/k8s_drill.sh --namespaces    network namespaces instead, as in test/run.sh
#
# Builds first where that is needed. The image is deploy/image/Dockerfile's, but for the compiling:
# the programs that were built here are taken, and Debian comes from its archive (debootstrap), so
# that no registry is needed. GYRE_DRILL_DIR (default: .gyre-k8s-drill in the repository) keeps the
# images from one run to the next. Nothing is changed in the network of the machine, and no daemon
# that runs already is used. The last line is
# gyre-k8s-drill: engine=<e> pods=5 written=<n> read=<n> requests=<n> failed_requests=0 lost=0
# and the exit code is 0 only if nothing was lost, nothing failed, and all went as the manual says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

engine=docker
case "${1:-}" in
  '') ;;
  --namespaces) engine=namespaces ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' test/k8s_drill.sh >&2 && exit 2 ;;
esac

{
  deploy/packages.sh
  if [[ $engine == docker ]]; then
    # Whatever brings these will do.
    for program in containerd debootstrap docker dockerd runc; do
      command -v "$program" >/dev/null || { deploy/packages.sh drill && break; }
    done
  fi
  cmake --preset release --log-level=WARNING
  ninja -C build/release --quiet gyred gyre gyre_drive
} >&2
mkdir -p "${GYRE_DRILL_DIR:-.gyre-k8s-drill}"
images=$(realpath "${GYRE_DRILL_DIR:-.gyre-k8s-drill}")
exec /usr/bin/python3 -B test/kubernetes/drill.py --engine "$engine" --images "$images"
