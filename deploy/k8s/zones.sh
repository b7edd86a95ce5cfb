#!/usr/bin/env bash
# Tells each node of Gyre the zone of the machine that its pod is on, and then lets those that wait
# for that own their share. For the overlay `zones`: after the first start, and after each scale-up.
#
#   deploy/k8s/zones.sh [-n NAMESPACE] [any other option that kubectl takes]
#
# Needs kubectl, and the right to read pods and nodes and to run `gyre` in a pod. It changes only
# what differs, so that it may be interrupted, and run again, at any time. Prints what it changes.
# Ends with 0 when every pod is a member in its zone, and with 3 when one is not yet: run it again.
set -euo pipefail

zone_label='topology\.kubernetes\.io/zone'
options=("$@")
late=0

k() { kubectl "${options[@]}" "$@"; }

pods=$(k get pods -l app.kubernetes.io/name=gyre \
  -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}')
[[ $pods ]] || { echo "${0##*/}: there is no pod of Gyre here" >&2; exit 3; }

# By any pod that answers.
gyre() {
  local pod
  while read -r pod _; do
    # Otherwise exec would read the rest of the list.
    k exec "$pod" -c gyred -- gyre "$@" </dev/null && return
  done <<<"$pods"
  echo "${0##*/}: no pod could run: gyre $*" >&2
  return 1
}

members=$(gyre transfers)

while read -r pod machine; do
  # NODE ZONE STATE OWNS
  read -r zone state < <(awk -v node="$pod" '$1 == node { print $2, $3; exit }' <<<"$members"; echo)
  if [[ ! $machine || ! $zone ]]; then
    echo "$pod is no member yet"
    late=3
    continue
  fi
  wanted=$(k get node "$machine" -o "jsonpath={.metadata.labels.$zone_label}" </dev/null)
  if [[ ! $wanted ]]; then
    echo "${0##*/}: the machine $machine has no label topology.kubernetes.io/zone" >&2
    exit 1
  fi
  [[ $zone == "$wanted" ]] || gyre zone "$pod" "$wanted"
  [[ $state != waiting ]] || gyre node join "$pod"
done <<<"$pods"
exit "$late"
