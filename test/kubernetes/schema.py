"""Schema: of the Kubernetes objects in deploy/k8s, the fields that they use, and no others.

    schema.faults({"apiVersion": "v1", "kind": "Service", ...})  # ["Service gyre: spec.prots: ..."]

Kubernetes drops a field that it does not know, in silence or with a warning: a misspelt probe is
then no probe. So a field that is not here is a fault, and so is one that must be there and is
not, or one of another type. Whoever needs another field adds it here, as the API reference has it
(https://kubernetes.io/docs/reference/kubernetes-api/).
"""

import re
from typing import Any, Callable, Mapping

# Takes a value and the path to it; yields what is wrong.
Check = Callable[[Any, str], list[str]]

DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
_MEMORY = r"[0-9]+(Ki|Mi|Gi|Ti)"
_LABEL_KEY = r"([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"


def text(pattern: str = r"(?s:.+)") -> Check:
    def check(value: Any, path: str) -> list[str]:
        if not isinstance(value, str):
            return [f"{path}: {value!r} is no string"]
        return [] if re.fullmatch(pattern, value) else [f"{path}: {value!r} is not {pattern}"]
    return check


def number(least: int, most: int) -> Check:
    def check(value: Any, path: str) -> list[str]:
        if isinstance(value, bool) or not isinstance(value, int):
            return [f"{path}: {value!r} is no integer"]
        return [] if least <= value <= most else [f"{path}: {value} is not {least} to {most}"]
    return check


def one_of(*allowed: Any) -> Check:
    def check(value: Any, path: str) -> list[str]:
        if any(value == one and type(value) is type(one) for one in allowed):
            return []
        return [f"{path}: {value!r} is none of {list(allowed)}"]
    return check


def truth(value: Any, path: str) -> list[str]:
    return [] if isinstance(value, bool) else [f"{path}: {value!r} is neither true nor false"]


def items(each: Check, least: int = 1) -> Check:
    def check(value: Any, path: str) -> list[str]:
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        if len(value) < least:
            return [f"{path}: {len(value)} items, at least {least} are needed"]
        return [fault for i, item in enumerate(value) for fault in each(item, f"{path}[{i}]")]
    return check


def table(key: str, value_check: Check) -> Check:
    def check(value: Any, path: str) -> list[str]:
        if not isinstance(value, dict) or not value:
            return [f"{path}: {value!r} is no map with entries"]
        found = []
        for name, one in value.items():
            found += text(key)(name, f"{path}, the key")
            found += value_check(one, f"{path}.{name}")
        return found
    return check


def fields(required: Mapping[str, Check] | None = None, **optional: Check) -> Check:
    must = dict(required or {})

    def check(value: Any, path: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        known = {**must, **optional}
        found = [f"{path}: unknown field {name!r}" for name in value if name not in known]
        found += [f"{path}: {name!r} is missing" for name in must if name not in value]
        for name, one in value.items():
            if name in known:
                found += known[name](one, f"{path}.{name}" if path else name)
        return found
    return check


_NAME = text(DNS_LABEL)
_PORT = number(1, 65535)
_LABELS = table(_LABEL_KEY, text(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"))
_METADATA = fields({"name": _NAME, "labels": _LABELS})
_SELECTOR = fields({"matchLabels": _LABELS})
_PORT_NAME = text(r"[a-z0-9][-a-z0-9]{0,14}")

_SERVICE = fields({
    "selector": _LABELS,
    "ports": items(fields({"name": _PORT_NAME, "port": _PORT, "targetPort": _PORT_NAME},
                          appProtocol=text())),
}, clusterIP=one_of("None"), type=one_of("ClusterIP"), publishNotReadyAddresses=truth)

_PROBE = fields({
    "grpc": fields({"port": _PORT, "service": text()}),
    "periodSeconds": number(1, 300), "timeoutSeconds": number(1, 60),
    "failureThreshold": number(1, 10_000),
})

_CONTAINER = fields({
    "name": _NAME,
    "image": text(r"[a-z0-9][a-z0-9./_-]*:[A-Za-z0-9_.-]+"),
    "imagePullPolicy": one_of("IfNotPresent", "Always"),
    "args": items(text(r"--[a-z][-a-z]*(=.+)?")),
    "env": items(fields({"name": text(r"[A-Z_][A-Z0-9_]*"), "valueFrom": fields(
        {"fieldRef": fields({"fieldPath": one_of("metadata.name", "metadata.namespace")})})})),
    "ports": items(fields({"name": _PORT_NAME, "containerPort": _PORT})),
    "startupProbe": _PROBE, "livenessProbe": _PROBE, "readinessProbe": _PROBE,
    "lifecycle": fields({"preStop": fields({"sleep": fields({"seconds": number(0, 600)})})}),
    "resources": fields({
        "requests": fields({"cpu": text(_QUANTITY), "memory": text(_MEMORY)}),
        "limits": fields({"memory": text(_MEMORY)})}),
    "securityContext": fields({
        "allowPrivilegeEscalation": one_of(False), "readOnlyRootFilesystem": one_of(True),
        "capabilities": fields({"drop": items(one_of("ALL"))})}),
    "volumeMounts": items(fields({"name": _NAME, "mountPath": text(r"/[^:]+")}, readOnly=truth)),
})

_POD = fields({
    "serviceAccountName": _NAME,
    "automountServiceAccountToken": one_of(False),
    "enableServiceLinks": one_of(False),
    "terminationGracePeriodSeconds": number(1, 3600),
    "securityContext": fields({
        "runAsNonRoot": one_of(True), "runAsUser": number(1, 65535),
        "runAsGroup": number(1, 65535), "fsGroup": number(1, 65535),
        "fsGroupChangePolicy": one_of("OnRootMismatch"),
        "seccompProfile": fields({"type": one_of("RuntimeDefault")})}),
    "containers": items(_CONTAINER),
    "volumes": items(fields({"name": _NAME, "configMap": fields({"name": _NAME})})),
}, affinity=fields({"podAntiAffinity": fields({
    "requiredDuringSchedulingIgnoredDuringExecution": items(fields(
        {"topologyKey": text(_LABEL_KEY), "labelSelector": _SELECTOR}))})}),
    topologySpreadConstraints=items(fields({
        "topologyKey": text(_LABEL_KEY), "maxSkew": number(1, 10),
        "whenUnsatisfiable": one_of("ScheduleAnyway", "DoNotSchedule"),
        "labelSelector": _SELECTOR})))

_STATEFUL_SET = fields({
    "replicas": number(1, 1000),
    "serviceName": _NAME,
    "podManagementPolicy": one_of("Parallel"),
    "minReadySeconds": number(0, 3600),
    "updateStrategy": fields({"type": one_of("RollingUpdate")}),
    "persistentVolumeClaimRetentionPolicy": fields(
        {"whenScaled": one_of("Retain"), "whenDeleted": one_of("Retain")}),
    "selector": _SELECTOR,
    "template": fields({
        "metadata": fields({"labels": _LABELS}, annotations=table(_LABEL_KEY, text())),
        "spec": _POD}),
    "volumeClaimTemplates": items(fields({
        "metadata": _METADATA,
        "spec": fields({
            "accessModes": items(one_of("ReadWriteOnce", "ReadWriteOncePod")),
            "resources": fields({"requests": fields({"storage": text(_MEMORY)})}),
        }, storageClassName=_NAME)})),
})

# By apiVersion and kind: the fields beside those two.
KINDS: dict[tuple[str, str], dict[str, Check]] = {
    ("v1", "ServiceAccount"): {"metadata": _METADATA,
                               "automountServiceAccountToken": one_of(False)},
    ("v1", "Service"): {"metadata": _METADATA, "spec": _SERVICE},
    ("v1", "ConfigMap"): {"metadata": _METADATA, "data": table(r"[-._a-zA-Z0-9]+", text())},
    ("apps/v1", "StatefulSet"): {"metadata": _METADATA, "spec": _STATEFUL_SET},
    ("policy/v1", "PodDisruptionBudget"): {"metadata": _METADATA, "spec": fields(
        {"maxUnavailable": number(1, 1), "selector": _SELECTOR})},
}


def faults(one: Any) -> list[str]:
    """What is wrong with one object by itself."""
    if not isinstance(one, dict):
        return [f"{one!r} is no object"]
    kind = (one.get("apiVersion"), one.get("kind"))
    if kind not in KINDS:
        return [f"{kind[0]} {kind[1]}: no such kind is known here"]
    name = one["metadata"].get("name") if isinstance(one.get("metadata"), dict) else None
    check = fields({"apiVersion": text(), "kind": text(), **KINDS[kind]})
    return [f"{kind[1]} {name}: {fault}" for fault in check(one, "")]
