"""That the checks of deploy/k8s can fail: each case breaks what is good in one place, and is found.

No gyred takes part: what it offers is written down here.
"""

import copy
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kustomization  # noqa: E402: beside this file
import rules  # noqa: E402
import schema  # noqa: E402

BASE = rules.ROOT / "deploy" / "k8s" / "base"
OFFERED = rules.Offered("0.1.0", {"--config", "--partitions", "--join-waits"}, {7100, 7200, 7300},
                        "10001:10001", "gyre:0.1.0")
POD = "StatefulSet/gyre/spec/template/spec"
CONTAINER = f"{POD}/containers/0"
CONFIG = "ConfigMap/gyre/data/gyred.textproto"
GONE = object()

# Where, what instead, and a part of what is said of it.
FAULTS = [
    # the schema: fields
    ("Service/gyre/spec/prots", [], "spec: unknown field 'prots'"),
    ("Service/gyre/spec/ports", GONE, "spec: 'ports' is missing"),
    ("Service/gyre/spec/ports/0/port", "7100", "is no integer"),
    ("Service/gyre/spec/ports/0/port", 70000, "is not 1 to 65535"),
    ("Service/gyre/spec/ports/0/port", True, "is no integer"),
    ("Service/gyre/kind", "Servcie", "no such kind is known"),
    ("Service/gyre/metadata/name", "Gyre", "'Gyre' is not"),
    ("Service/gyre/metadata/labels", {}, "is no map with entries"),
    (f"{CONTAINER}/livenessprobe", {}, "unknown field 'livenessprobe'"),
    (f"{CONTAINER}/livenessProbe", GONE, "'livenessProbe' is missing"),
    (f"{CONTAINER}/readinessProbe", GONE, "'readinessProbe' is missing"),
    (f"{CONTAINER}/startupProbe", GONE, "'startupProbe' is missing"),
    (f"{CONTAINER}/readinessProbe/httpGet", {"path": "/"}, "unknown field 'httpGet'"),
    (f"{CONTAINER}/securityContext", GONE, "'securityContext' is missing"),
    (f"{CONTAINER}/securityContext/readOnlyRootFilesystem", False, "none of [True]"),
    (f"{CONTAINER}/securityContext/allowPrivilegeEscalation", True, "none of [False]"),
    (f"{CONTAINER}/securityContext/capabilities/drop", ["NET_RAW"], "none of ['ALL']"),
    (f"{CONTAINER}/securityContext/capabilities/drop", [], "at least 1"),
    (f"{CONTAINER}/securityContext/capabilities/add", ["SYS_ADMIN"], "unknown field 'add'"),
    (f"{CONTAINER}/lifecycle", GONE, "'lifecycle' is missing"),
    (f"{CONTAINER}/command", ["sh"], "unknown field 'command'"),
    (f"{CONTAINER}/image", "gyre", "'gyre' is not"),
    (f"{CONTAINER}/resources/limits/cpu", "1", "unknown field 'cpu'"),
    (f"{CONTAINER}/resources/requests/memory", "8GiB", "'8GiB' is not"),
    (f"{POD}/securityContext/runAsNonRoot", False, "none of [True]"),
    (f"{POD}/securityContext/seccompProfile/type", "Unconfined", "none of ['RuntimeDefault']"),
    (f"{POD}/automountServiceAccountToken", True, "none of [False]"),
    (f"{POD}/hostNetwork", True, "unknown field 'hostNetwork'"),
    ("StatefulSet/gyre/spec/podManagementPolicy", "OrderedReady", "none of ['Parallel']"),
    ("StatefulSet/gyre/spec/persistentVolumeClaimRetentionPolicy/whenScaled", "Delete",
     "none of ['Retain']"),
    ("StatefulSet/gyre/spec/volumeClaimTemplates", GONE, "'volumeClaimTemplates' is missing"),
    ("StatefulSet/gyre/spec/replicas", 0, "is not 1 to 1000"),
    ("PodDisruptionBudget/gyre/spec/maxUnavailable", 2, "is not 1 to 1"),
    ("PodDisruptionBudget/gyre/spec/minAvailable", 1, "unknown field 'minAvailable'"),
    ("ServiceAccount/gyre/automountServiceAccountToken", GONE, "is missing"),
    # the rules: labels and services
    ("StatefulSet/gyre/spec/selector/matchLabels", {"app": "gyre"}, "the StatefulSet selects"),
    ("Service/gyre/spec/selector", {"app": "gyre"}, "Service gyre selects"),
    ("Service/gyre-peers/spec/selector", {"app": "gyre"}, "Service gyre-peers selects"),
    ("PodDisruptionBudget/gyre/spec/selector/matchLabels", {"a": "b"},
     "PodDisruptionBudget gyre selects"),
    ("PodDisruptionBudget/gyre", GONE, "there is no PodDisruptionBudget"),
    (f"{POD}/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0"
     "/labelSelector/matchLabels", {"a": "b"}, "podAntiAffinity selects"),
    (f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels", {"a": "b"},
     "topologySpreadConstraints selects"),
    ("StatefulSet/gyre/spec/template/metadata/labels", {"a": "b"}, "the StatefulSet selects"),
    ("StatefulSet/gyre/spec/serviceName", "peers", "there is no Service peers"),
    ("Service/gyre-peers/spec/clusterIP", GONE, "is to be headless"),
    ("Service/gyre-peers/spec/publishNotReadyAddresses", GONE, "is to be headless"),
    ("Service/gyre", GONE, "there is no Service for clients"),
    ("Service/gyre/spec/ports/0/port", 7101, "which pods do not have"),
    ("Service/gyre/spec/ports/0/targetPort", "clients", "which pods do not have"),
    # ports and probes
    (f"{CONTAINER}/ports/0/containerPort", 7101, "the image [7100, 7200, 7300]"),
    (CONFIG, ('client_listen: "0.0.0.0:7100"', 'client_listen: "127.0.0.1:7100"'),
     "client_listen is"),
    (CONFIG, ('peer_listen: "0.0.0.0:7200"', 'peer_listen: "0.0.0.0:7201"'), "peer_listen is"),
    (CONFIG, ('http_listen: "0.0.0.0:7300"', ""), "http_listen is"),
    ("StatefulSet/gyre/spec/template/metadata/annotations/prometheus.io~1port", "9090",
     "Prometheus is sent to port 9090"),
    ("StatefulSet/gyre/spec/template/metadata/annotations/prometheus.io~1path", "/metric",
     "Prometheus is sent to /metric"),
    (f"{CONTAINER}/livenessProbe/grpc/port", 7200, "livenessProbe asks port 7200"),
    (f"{CONTAINER}/livenessProbe/grpc/service", "gyre.v1.Gyre", "livenessProbe asks for"),
    (f"{CONTAINER}/readinessProbe/grpc/service", "gyre.Process", "readinessProbe asks for"),
    (f"{CONTAINER}/startupProbe/failureThreshold", 3, "startupProbe ends a start"),
    # the end
    (f"{POD}/terminationGracePeriodSeconds", 30, "terminationGracePeriodSeconds is 30"),
    (CONFIG, ("drain_ms: 20000", "drain_ms: 60000"), "terminationGracePeriodSeconds is 60"),
    (f"{CONTAINER}/lifecycle/preStop/sleep/seconds", 0, "clients are still sent to"),
    (f"{CONTAINER}/readinessProbe/failureThreshold", 30, "clients are still sent to"),
    # who is who
    (CONFIG, ('node_name: "${POD_NAME}"', 'node_name: "gyre-0"'), "the same for all pods"),
    (CONFIG, ('name: "gyre-2"', 'name: "gyre-3"'), "members are"),
    (CONFIG, ('"gyre-1.gyre-peers.${POD_NAMESPACE}.svc:7200"', '"gyre-1.gyre:7200"'),
     "gyre-1: peer_address is"),
    (CONFIG, ('client_address: "${POD_NAME}.', 'client_address: "gyre-3.'), "joining: client_ad"),
    (CONFIG, ('seeds: "gyre-peers.', 'seeds: "gyre.'), "seeds are"),
    (CONFIG, ('seeds: "gyre-peers.${POD_NAMESPACE}.svc:7200"', ""), "seeds are"),
    ("StatefulSet/gyre/spec/replicas", 2, "fewer than the 3 members"),
    ("StatefulSet/gyre/metadata/name", "store", "the first pods ['store-0'"),
    (f"{CONTAINER}/env", [{"name": "POD_NAME", "valueFrom": {"fieldRef": {
        "fieldPath": "metadata.name"}}}], "needs ${POD_NAMESPACE}"),
    (f"{CONTAINER}/env/0/valueFrom/fieldRef/fieldPath", "metadata.namespace",
     "POD_NAME is metadata.namespace"),
    (f"{CONTAINER}/args/0", "--conf=/etc/gyre/gyred.textproto", "'--config'"),
    (f"{CONTAINER}/args", ["--config=/etc/gyre/gyred.textproto", "--quorum=2"],
     "gyred has no --quorum"),
    (f"{CONTAINER}/args/0", "--config=/etc/gyre/gyred.conf", "no ConfigMap has 'gyred.conf'"),
    (f"{CONTAINER}/args/0", "--config=/etc/other/gyred.textproto", "no volume is mounted where"),
    (CONFIG, ("drain_ms", "drian_ms"), "the configuration: "),
    # volumes, the image, room
    (f"{CONTAINER}/volumeMounts/0/name", "dta", "there is no volume dta"),
    (f"{POD}/volumes/0/configMap/name", "gyred", "no ConfigMap has 'gyred'"),
    (CONFIG, ('data_dir: "/var/lib/gyre/data"', 'data_dir: "/var/lib/gyre"'), "data_dir /var/lib"),
    (CONFIG, ('data_dir: "/var/lib/gyre/data"', 'data_dir: "/tmp/data"'), "data_dir /tmp/data"),
    (f"{CONTAINER}/image", "gyre:0.2.0", "the image is gyre:0.2.0"),
    (f"{POD}/securityContext/runAsUser", 1000, "runAsUser and runAsGroup are 1000:10001"),
    (f"{POD}/securityContext/fsGroup", 1000, "fsGroup is another"),
    (f"{POD}/serviceAccountName", "default", "there is no ServiceAccount default"),
    (f"{CONTAINER}/resources/limits/memory", "16Gi", "beyond the request"),
    (CONFIG, ("shards: 2", ""), "shards is not set"),
]


def broken(objects: list[dict], where: str, instead) -> list[dict]:
    """A copy with that in the place of what is there; a pair replaces text within a text."""
    objects = copy.deepcopy(objects)
    kind, name, *way = (key.replace("~1", "/") for key in where.split("/"))
    (target,) = (o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)
    if not way:
        return [o for o in objects if o is not target]
    part = target
    for key in way[:-1]:
        part = part[int(key) if isinstance(part, list) else key]
    last = int(way[-1]) if isinstance(part, list) else way[-1]
    if instead is GONE:
        del part[last]
    elif isinstance(instead, tuple):
        assert instead[0] in part[last], instead[0]
        part[last] = part[last].replace(*instead, 1)
    else:
        part[last] = instead
    return objects


class RulesTest(unittest.TestCase):
    def test_what_is_good_has_no_fault(self) -> None:
        self.assertEqual(rules.faults(kustomization.render(BASE), OFFERED), [])

    def test_each_fault_is_found(self) -> None:
        good = kustomization.render(BASE)
        for where, instead, said in FAULTS:
            with self.subTest(where=where, said=said):
                found = rules.faults(broken(good, where, instead), OFFERED)
                self.assertTrue(any(said in one for one in found), found)

    def test_every_field_that_must_be_there_is_missed(self) -> None:
        """Whatever is taken out of the objects, the schema or a rule says so, but for these."""
        free = {"affinity", "topologySpreadConstraints", "annotations", "readOnly", "type",
                "publishNotReadyAddresses", "clusterIP"}
        good = kustomization.render(BASE)

        def ways(part, way):
            for key, value in part.items() if isinstance(part, dict) else enumerate(part):
                if isinstance(part, dict) and not {"labels", "matchLabels"} & set(way):
                    yield [*way, key]
                if isinstance(value, (dict, list)):
                    yield from ways(value, [*way, key])
        for index, one in enumerate(good):
            for way in ways(one, []):
                if way[-1] in free or way[0] in ("apiVersion", "kind", "data"):
                    continue
                with self.subTest(kind=one["kind"], way=way):
                    without = copy.deepcopy(one)
                    part = without
                    for key in way[:-1]:
                        part = part[key]
                    del part[way[-1]]
                    objects = good[:index] + [without] + good[index + 1:]
                    self.assertNotEqual(rules.faults(objects, OFFERED), [])

    def test_an_object_that_is_there_twice_is_found(self) -> None:
        good = kustomization.render(BASE)
        self.assertIn("Service gyre is there twice",
                      rules.faults(good + [o for o in good if o["kind"] == "Service"], OFFERED))

    def test_what_gyred_and_the_image_do_not_offer_is_found(self) -> None:
        good = kustomization.render(BASE)
        for field, value, said in (("version", "0.2.0", "gyred is 0.2.0"),
                                   ("flags", set(), "gyred has no --config"),
                                   ("ports", {7100}, "the image [7100]"),
                                   ("user", "0:0", "the image's 0:0"),
                                   ("image", "gyred:0.1.0", "makes gyred:0.1.0")):
            with self.subTest(field=field):
                found = rules.faults(good, OFFERED._replace(**{field: value}))
                self.assertTrue(any(said in one for one in found), found)

    def test_an_object_that_is_none_is_a_fault(self) -> None:
        for one in ("text", [], {}, {"apiVersion": "v1", "kind": "Service"},
                    {"apiVersion": "v1", "kind": "Service", "metadata": "gyre"}):
            self.assertNotEqual(schema.faults(one), [])


class KustomizationTest(unittest.TestCase):
    def folder(self, text: str, **files: str) -> Path:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        folder = Path(held.name)
        head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        (folder / "kustomization.yaml").write_text(head + text)
        for name, content in files.items():
            (folder / f"{name}.yaml").write_text(content)
        return folder

    def test_what_is_not_known_is_refused(self) -> None:
        service = "kind: Service\nmetadata: {name: a}\nspec: {ports: [1]}\n"
        patch = "patches: [{target: {kind: Service, name: %s}, patch: '%s'}]\nresources: [s.yaml]\n"
        for text in ("namePrefix: x-\n",
                     patch % ("b", "[]"),
                     patch % ("a", "[{op: move, path: /spec}]"),
                     patch % ("a", "[{op: replace, path: /spec/prots, value: 1}]"),
                     patch % ("a", "[{op: remove, path: /spec/ports/1}]"),
                     patch % ("a", "[{op: add, path: /spec/x, value: 1, from: y}]"),
                     "resources: [s.yaml]\nresources: [s.yaml]\n"):
            with self.subTest(text=text), self.assertRaises(kustomization.Unknown):
                kustomization.render(self.folder(text, s=service))

    def test_patches_and_images_are_applied(self) -> None:
        pod = "kind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: x}, {image: y:1}]}\n"
        (rendered,) = kustomization.render(self.folder(
            "resources: [p.yaml]\n"
            "patches: [{target: {kind: Pod, name: a}, patch: '["
            "{op: add, path: /spec/containers/-, value: {image: \"x:2\"}},"
            "{op: remove, path: /spec/containers/1},"
            "{op: add, path: /metadata/a~1b, value: c}]'}]\n"
            "images: [{name: x, newName: r/z, newTag: 3}]\n", p=pod))
        self.assertEqual(rendered["spec"]["containers"], [{"image": "r/z:3"}, {"image": "r/z:3"}])
        self.assertEqual(rendered["metadata"], {"name": "a", "a/b": "c"})


if __name__ == "__main__":
    unittest.main()
