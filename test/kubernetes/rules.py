"""Rules: what the objects of deploy/k8s owe each other, the image and gyred.

    faults = rules.faults(objects, offered)

The schema says what an object may look like; a rule, that a selector meets its labels, a probe a
service that gyred answers for, a port what gyred listens on. `Offered` is what the other side has:
of the tree and of the gyred that was built (`offered`), so that a change there fails here.
"""

import functools
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Iterator, NamedTuple

from google.protobuf import text_format

import schema

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "image" / "Dockerfile"
# What each probe is to ask (server/health_service.h).
PROBES = {"startupProbe": "gyre.Process", "livenessProbe": "gyre.Process",
          "readinessProbe": "gyre.v1.Gyre"}
START_S = 600  # a start may take so long, at least
STOP_SPARE_S = 10  # after the drain: streams end, the store writes out what it has in memory
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class Offered(NamedTuple):
    version: str
    flags: set[str]  # of gyred
    ports: set[int]  # that the image exposes
    user: str  # of the image, uid:gid
    image: str  # as the Dockerfile says it is called


def offered(gyred: Path) -> Offered:
    def say(flag: str) -> str:
        return subprocess.run([gyred, flag], capture_output=True, text=True, check=True).stdout
    usage, version = say("--help"), say("--version")
    dockerfile = DOCKERFILE.read_text(encoding="utf-8")
    (exposed,) = re.findall(r"^EXPOSE (.*)$", dockerfile, re.M)
    (user,) = re.findall(r"^USER (.*)$", dockerfile, re.M)
    (image,) = re.findall(r"^#.* -t (\S+) \.$", dockerfile, re.M)
    return Offered(version.split()[-1], set(re.findall(r"(?<=\s)--[a-z][a-z-]*", usage)),
                   {int(port) for port in exposed.split()}, user, image)


@functools.cache
def _config_module() -> ModuleType:
    """api/proto/config.proto in Python, made anew for each process."""
    with tempfile.TemporaryDirectory(prefix="gyre-config-") as folder:
        subprocess.run(["protoc", f"--proto_path={ROOT}", f"--python_out={folder}",
                        "api/proto/config.proto"], check=True)
        sys.path.insert(0, f"{folder}/api/proto")
        try:
            import config_pb2  # pylint: disable=import-outside-toplevel
        finally:
            sys.path.pop(0)
    return config_pb2


def parse_config(text: str):
    """A NodeConfig; text_format.ParseError names what gyred would refuse as well."""
    return text_format.Parse(text, _config_module().NodeConfig())


class Objects:
    """The rendered objects, by kind."""

    def __init__(self, objects: list[dict]):
        def of(kind: str) -> dict[str, dict]:
            return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}
        self.all = objects
        self.services = of("Service")
        self.config_maps = of("ConfigMap")
        self.accounts = of("ServiceAccount")
        self.budgets = of("PodDisruptionBudget")
        (self.set,) = of("StatefulSet").values()
        self.spec = self.set["spec"]
        self.pod = self.spec["template"]["spec"]
        (self.container,) = self.pod["containers"]
        self.labels = self.spec["template"]["metadata"]["labels"]
        self.ports = {p["name"]: p["containerPort"] for p in self.container["ports"]}
        self.mounts = {m["name"]: m["mountPath"] for m in self.container["volumeMounts"]}
        self.arguments = dict((a.split("=", 1) + [""])[:2] for a in self.container["args"])

    @property
    def config_text(self) -> str:
        """Of the file that --config names; KeyError where no volume has it."""
        folder, key = self.arguments["--config"].rsplit("/", 1)
        (volume,) = (v for v in self.pod["volumes"] if self.mounts.get(v["name"]) == folder)
        return self.config_maps[volume["configMap"]["name"]]["data"][key]

    @functools.cached_property
    def config(self):
        return parse_config(self.config_text)


def _meets(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def selectors(o: Objects, _: Offered) -> Iterator[str]:
    def check(selector: dict, whose: str) -> Iterator[str]:
        if not _meets(selector, o.labels):
            yield f"{whose} selects {selector}, and pods have {o.labels}"
    yield from check(o.spec["selector"]["matchLabels"], "the StatefulSet")
    for name, service in o.services.items():
        yield from check(service["spec"]["selector"], f"Service {name}")
    if not o.budgets:
        yield "there is no PodDisruptionBudget"
    for name, budget in o.budgets.items():
        yield from check(budget["spec"]["selector"]["matchLabels"], f"PodDisruptionBudget {name}")
    apart = o.pod.get("affinity", {}).get("podAntiAffinity", {})
    for term in apart.get("requiredDuringSchedulingIgnoredDuringExecution", []):
        yield from check(term["labelSelector"]["matchLabels"], "podAntiAffinity")
    for spread in o.pod.get("topologySpreadConstraints", []):
        yield from check(spread["labelSelector"]["matchLabels"], "topologySpreadConstraints")


def services(o: Objects, _: Offered) -> Iterator[str]:
    headless = o.services.get(o.spec["serviceName"])
    if headless is None:
        yield f"serviceName: there is no Service {o.spec['serviceName']}"
    elif (headless["spec"].get("clusterIP") != "None" or
          headless["spec"].get("publishNotReadyAddresses") is not True):
        yield "the peers' Service is to be headless, and to name pods that are not ready"
    if not any("client" in {p["name"] for p in s["spec"]["ports"]} and "clusterIP" not in s["spec"]
               for s in o.services.values()):
        yield "there is no Service for clients"
    for name, service in o.services.items():
        for port in service["spec"]["ports"]:
            if o.ports.get(port["targetPort"]) != port["port"]:
                yield f"Service {name}: port {port['port']} to {port['targetPort']}, which pods " \
                      f"do not have: {o.ports}"


def ports(o: Objects, offer: Offered) -> Iterator[str]:
    if set(o.ports.values()) != offer.ports:
        yield f"the pod has ports {o.ports}, the image {sorted(offer.ports)}"
    for name in ("client", "peer", "http"):
        listens = getattr(o.config, f"{name}_listen")
        if listens != f"0.0.0.0:{o.ports.get(name)}":
            yield f"{name}_listen is {listens!r}, the pod's port {o.ports.get(name)}"
    notes = o.spec["template"]["metadata"].get("annotations", {})
    if notes.get("prometheus.io/scrape") != "true":
        yield "Prometheus is not sent here"
    if notes.get("prometheus.io/port") != str(o.ports.get("http")):
        yield f"Prometheus is sent to port {notes.get('prometheus.io/port')}"
    if notes.get("prometheus.io/path") != "/metrics":
        yield f"Prometheus is sent to {notes.get('prometheus.io/path')}"


def probes(o: Objects, _: Offered) -> Iterator[str]:
    for name, service in PROBES.items():
        probe = o.container[name]
        if probe["grpc"]["port"] != o.ports.get("client"):
            yield f"{name} asks port {probe['grpc']['port']}, the clients' is {o.ports}"
        if probe["grpc"]["service"] != service:
            yield f"{name} asks for {probe['grpc']['service']}, not {service}"
    start = o.container["startupProbe"]
    if start["periodSeconds"] * start["failureThreshold"] < START_S:
        yield f"startupProbe ends a start that takes less than {START_S} s"


def ending(o: Objects, _: Offered) -> Iterator[str]:
    pause = o.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = (o.config.drain_ms or 5000) / 1000
    grace = o.pod["terminationGracePeriodSeconds"]
    if grace < pause + drain + STOP_SPARE_S:
        yield f"terminationGracePeriodSeconds is {grace}: less than {pause} s before the drain, " \
              f"{drain:.0f} s of it, and {STOP_SPARE_S} s after"
    unready = o.container["readinessProbe"]
    if pause < 1 or unready["periodSeconds"] * unready["failureThreshold"] > 10:
        yield "clients are still sent to a pod that drains"


def addresses(o: Objects, _: Offered) -> Iterator[str]:
    """Who is where: by the names that the StatefulSet and its Service give to pods."""
    name, service = o.set["metadata"]["name"], o.spec["serviceName"]

    def place(pod: str, port: str) -> str:
        return f"{pod}{service}.${{POD_NAMESPACE}}.svc:{o.ports.get(port)}"
    if o.config.node_name != "${POD_NAME}":
        yield f"node_name is {o.config.node_name!r}: the same for all pods"
    wanted = [f"{name}-{i}" for i in range(len(o.config.members))]
    if not wanted or [member.name for member in o.config.members] != wanted:
        yield f"members are {[m.name for m in o.config.members]}, the first pods {wanted}"
    if o.spec["replicas"] < len(wanted):
        yield f"replicas: {o.spec['replicas']}, fewer than the {len(wanted)} members"
    joining = [("joining", o.config.joining, "${POD_NAME}.")]
    listed = [(m.name, m, f"{m.name}.") for m in o.config.members]
    for who, member, pod in listed + joining:
        for port in ("peer", "client"):
            if getattr(member, f"{port}_address") != place(pod, port):
                yield f"{who}: {port}_address is {getattr(member, f'{port}_address')!r}, not " \
                      f"{place(pod, port)!r}"
    if list(o.config.seeds) != [place("", "peer")]:
        yield f"seeds are {list(o.config.seeds)}, not {place('', 'peer')!r}"


def environment(o: Objects, offer: Offered) -> Iterator[str]:
    given = {one["name"] for one in o.container["env"]}
    bare = re.sub(r"(?m)^\s*#.*$", "", o.config_text)
    for name in sorted(set(_VARIABLE.findall(bare)) - given):
        yield f"the configuration needs ${{{name}}}, which the pod does not set"
    sources = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in
               o.container["env"]}
    for name, path in (("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")):
        if sources.get(name) != path:
            yield f"{name} is {sources.get(name)}, not {path}"
    for flag in o.arguments:
        if flag not in offer.flags:
            yield f"gyred has no {flag}"


def volumes(o: Objects, _: Offered) -> Iterator[str]:
    claims = {claim["metadata"]["name"] for claim in o.spec["volumeClaimTemplates"]}
    maps = {v["name"] for v in o.pod["volumes"]}
    for name in sorted(set(o.mounts) - claims - maps):
        yield f"volumeMounts: there is no volume {name}"
    for name in sorted((claims | maps) - set(o.mounts)):
        yield f"nobody mounts volume {name}"
    data = [path for name, path in o.mounts.items() if name in claims]
    if not any(o.config.data_dir.startswith(path + "/") for path in data):
        yield f"data_dir {o.config.data_dir} lies in none of the claimed volumes {data}: it is " \
              "to be a folder within one, since a volume itself belongs to root"


def image(o: Objects, offer: Offered) -> Iterator[str]:
    if o.container["image"] != offer.image:
        yield f"the image is {o.container['image']}, the Dockerfile makes {offer.image}"
    if offer.image.partition(":")[2] != offer.version:
        yield f"the Dockerfile makes {offer.image}, gyred is {offer.version}"
    context = o.pod["securityContext"]
    if f"{context['runAsUser']}:{context['runAsGroup']}" != offer.user:
        yield f"runAsUser and runAsGroup are {context['runAsUser']}:{context['runAsGroup']}, the " \
              f"image's {offer.user}"
    if context["fsGroup"] != context["runAsGroup"]:
        yield "fsGroup is another than runAsGroup: the volume cannot be written to"
    if o.pod["serviceAccountName"] not in o.accounts:
        yield f"there is no ServiceAccount {o.pod['serviceAccountName']}"


def room(o: Objects, _: Offered) -> Iterator[str]:
    wanted = o.container["resources"]
    if wanted["requests"]["memory"] != wanted["limits"]["memory"]:
        yield "the memory that the limit allows beyond the request may not be there"
    if o.config.shards == 0:
        yield "shards is not set: gyred would count the cores of the machine"


RULES = [selectors, services, ports, probes, ending, addresses, environment, volumes, image, room]


def faults(objects: list[dict], offer: Offered) -> list[str]:
    """By the schema; and where that holds, by the rules."""
    found = [fault for one in objects for fault in schema.faults(one)]
    if found:
        return found
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    found = [f"{kind} {name} is there twice" for kind, name in sorted(set(names))
             if names.count((kind, name)) > 1]
    if sum(kind == "StatefulSet" for kind, _ in names) != 1:
        return [*found, "there is to be one StatefulSet"]
    view = Objects(objects)
    try:
        _ = view.config
    except KeyError as missing:
        where = view.arguments.get("--config")
        return [*found, f"no ConfigMap has {missing} of --config={where}"]
    except ValueError:
        where = view.arguments["--config"]
        return [*found, f"no volume is mounted where --config={where} lies"]
    except text_format.ParseError as error:
        return [*found, f"the configuration: {error}"]
    return found + [f"{rule.__name__}: {fault}" for rule in RULES for fault in rule(view, offer)]
