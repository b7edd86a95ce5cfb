"""deploy/k8s/zones.sh against a kubectl that is written here: it changes what differs, the zone
before the share, and nothing else.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ZONES = Path(__file__).resolve().parents[2] / "deploy" / "k8s" / "zones.sh"

# Pods, machines and members are of FAKE/state; what is asked of gyre goes to FAKE/asked.
KUBECTL = f"#!{sys.executable}\n" + '''
import json, os, sys
folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
state = json.load(open(folder + "/state"))
assert sys.argv[1:3] == ["-n", "shop"], sys.argv
words = sys.argv[3:]
if words[:2] == ["get", "pods"]:
    for name, machine in state["pods"].items():
        print(name, machine)
elif words[:2] == ["get", "node"]:
    assert words[4] == r"jsonpath={.metadata.labels.topology\\.kubernetes\\.io/zone}", words
    print(state["machines"][words[2]], end="")
elif words[0] == "exec":
    assert words[2:6] == ["-c", "gyred", "--", "gyre"], words
    sys.stdin.read()
    if words[1] in state["away"]:
        sys.exit(1)
    if words[6:] == ["transfers"]:
        print("NODE    ZONE  STATE  OWNS")
        for name, (zone, member) in state["members"].items():
            print(name, zone, member, 7)
        print("\\nnothing moves")
    else:
        open(folder + "/asked", "a").write(" ".join(words[6:]) + "\\n")
'''


class ZonesTest(unittest.TestCase):
    def run_with(self, pods: dict, members: dict, away: tuple = ()) -> tuple[int, list[str], str]:
        """The exit code, what was asked of gyre, and what was printed."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "bin").mkdir()
            (folder / "bin" / "kubectl").write_text(KUBECTL)
            (folder / "bin" / "kubectl").chmod(0o755)
            (folder / "asked").touch()
            (folder / "state").write_text(json.dumps({
                "pods": pods, "members": members, "away": away,
                "machines": {"m1": "a", "m2": "b", "m3": "c", "bare": ""}}))
            done = subprocess.run(
                [ZONES, "-n", "shop"], capture_output=True, text=True, check=False,
                env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"})
            return (done.returncode, (folder / "asked").read_text().splitlines(),
                    done.stdout + done.stderr)

    def test_each_node_is_told_its_zone_and_then_owns_its_share(self) -> None:
        pods = {"gyre-0": "m1", "gyre-1": "m2", "gyre-10": "m3"}
        code, asked, _ = self.run_with(pods, {
            "gyre-0": ("default", "active"), "gyre-1": ("b", "active"),
            "gyre-10": ("default", "waiting")}, away=("gyre-0",))
        self.assertEqual((code, asked), (0, ["zone gyre-0 a", "zone gyre-10 c",
                                             "node join gyre-10"]))

    def test_run_again_it_goes_on_where_it_was_interrupted(self) -> None:
        pods = {"gyre-0": "m1", "gyre-1": "m2"}
        self.assertEqual(self.run_with(pods, {"gyre-0": ("a", "active"),
                                              "gyre-1": ("b", "waiting")})[:2],
                         (0, ["node join gyre-1"]))
        self.assertEqual(self.run_with(pods, {"gyre-0": ("a", "active"),
                                              "gyre-1": ("b", "active")})[:2], (0, []))

    def test_a_pod_that_is_no_member_yet_is_told(self) -> None:
        for machine in ("m2", ""):
            code, asked, said = self.run_with({"gyre-0": "m1", "gyre-1": machine},
                                              {"gyre-0": ("default", "active")})
            self.assertEqual((code, asked), (3, ["zone gyre-0 a"]))
            self.assertIn("gyre-1 is no member yet", said)
        self.assertEqual(self.run_with({}, {})[0], 3)

    def test_a_machine_without_a_zone_changes_nothing(self) -> None:
        code, asked, said = self.run_with({"gyre-0": "bare"}, {"gyre-0": ("default", "waiting")})
        self.assertEqual((code, asked), (1, []))
        self.assertIn("bare has no label", said)

    def test_no_pod_that_answers_is_an_error(self) -> None:
        code, _, said = self.run_with({"gyre-0": "m1"}, {"gyre-0": ("a", "active")}, ("gyre-0",))
        self.assertEqual(code, 1)
        self.assertIn("no pod could run: gyre transfers", said)


if __name__ == "__main__":
    unittest.main()
