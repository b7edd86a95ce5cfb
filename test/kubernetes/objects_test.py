"""deploy/k8s as it is: what the base and each overlay render to has no fault, by the schema, by the
rules, and by the gyred that was built; and kubectl renders the same, where there is one.
"""

import json
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kustomization  # noqa: E402: beside this file
import rules  # noqa: E402

GYRED = Path(os.environ.get("GYRE_GYRED", rules.ROOT / "build/release/server/gyred"))
K8S = rules.ROOT / "deploy" / "k8s"
FOLDERS = [K8S / "base", *sorted(K8S.glob("overlays/*"))]


def why_no_kubectl() -> str:
    """Why it cannot be asked; "" where it can. Debian's own (1.20) knows kustomize of 2019 only."""
    if shutil.which("kubectl") is None:
        return "there is no kubectl"
    told = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True,
                          text=True, check=False)
    version = json.loads(told.stdout).get("kustomizeVersion", "") if told.returncode == 0 else ""
    return "" if version.startswith("v5") else f"kubectl has kustomize {version or 'of old'}"


def named(objects: list[dict]) -> dict[tuple[str, str], dict]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


class ObjectsTest(unittest.TestCase):
    maxDiff = None

    def test_no_fault(self) -> None:
        offered = rules.offered(GYRED)
        for folder in FOLDERS:
            with self.subTest(folder=folder.name):
                self.assertEqual(rules.faults(kustomization.render(folder), offered), [])

    def test_every_file_is_used(self) -> None:
        used = set()
        for folder in FOLDERS:
            (fields,) = kustomization.documents((folder / "kustomization.yaml").read_text())
            used |= {folder / "kustomization.yaml"}
            used |= {(folder / resource).resolve() for resource in fields["resources"]}
        self.assertEqual(sorted(set(K8S.rglob("*.yaml")) - used), [])

    @unittest.skipIf(why_no_kubectl(), why_no_kubectl())
    def test_kubectl_renders_the_same(self) -> None:
        for folder in FOLDERS:
            with self.subTest(folder=folder.name):
                said = subprocess.run(["kubectl", "kustomize", folder], capture_output=True,
                                      text=True, check=False)
                self.assertEqual((said.returncode, said.stderr), (0, ""))
                self.assertEqual(named(kustomization.render(folder)),
                                 named(kustomization.documents(said.stdout)))


if __name__ == "__main__":
    if not GYRED.is_file():
        sys.exit(f"{GYRED} is missing; build it, or set GYRE_GYRED")
    unittest.main()
