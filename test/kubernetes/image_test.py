"""deploy/image: the image has every library that the programs are linked with, and no more; and its
Dockerfile takes what the build needs and starts what was built.
"""

import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GYRED = Path(os.environ.get("GYRE_GYRED", ROOT / "build/release/server/gyred"))
CLI = Path(os.environ.get("GYRE_CLI", ROOT / "build/release/api/cli/gyre"))
DOCKERFILE = (ROOT / "deploy" / "image" / "Dockerfile").read_text(encoding="utf-8")


def libraries(program: Path) -> set[str]:
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    if "not found" in said:
        raise AssertionError(said)
    return set(re.findall(r"(/\S+) \(0x", said))


def packages_of(paths: set[str]) -> set[str]:
    """dpkg knows a file by the path that its package had it under, with /usr before it or not."""
    names: dict[str, str] = {}  # of each name that dpkg may know: the library
    for path in paths:
        real = os.path.realpath(path)
        names |= dict.fromkeys((path, f"/usr{path}", real, real.removeprefix("/usr")), path)
    said = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True,
                          check=False).stdout
    owners = {names[path]: package.split(":")[0] for package, path in
              (line.split(": ", 1) for line in said.splitlines()) if path in names}
    if set(owners) != paths:
        raise AssertionError(f"of no package: {paths - set(owners)}")
    return set(owners.values())


class ImageTest(unittest.TestCase):
    @unittest.skipUnless(shutil.which("dpkg-query"), "not on Debian, whose packages the image has")
    def test_the_list_of_libraries_is_what_the_programs_need(self) -> None:
        text = (ROOT / "deploy" / "packages.sh").read_text(encoding="utf-8")
        (listed,) = re.findall(r"^image=\(([^)]*)\)", text, re.M)
        needed = packages_of(libraries(GYRED) | libraries(CLI))
        self.assertEqual(sorted(listed.split()), sorted(needed))
        self.assertIn("/tmp/packages.sh image", DOCKERFILE)

    def test_the_build_is_given_all_that_the_project_is_made_of(self) -> None:
        """A folder that .dockerignore leaves out, and the build does not."""
        given = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
                 if line.startswith("!")}
        cmake = (ROOT / "CMakeLists.txt").read_text()
        (rooms,) = re.findall(r"^foreach\(room ([^)]*)\)", cmake, re.M)
        used = {room.split("/")[0] for room in rooms.split()}
        self.assertLessEqual(used | {"CMakeLists.txt", "CMakePresets.json", "deploy"}, given)
        for name in given:
            self.assertTrue((ROOT / name).exists(), name)

    def test_no_shell_stands_between_the_signal_and_the_node(self) -> None:
        self.assertIn('\nENTRYPOINT ["/usr/local/bin/gyred"]\n', DOCKERFILE)
        self.assertNotIn("\nCMD", DOCKERFILE)
        self.assertIn(" /out/gyred /out/gyre /usr/local/bin/\n", DOCKERFILE)
        (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.M)
        self.assertTrue(all(int(number) >= 10000 for number in user), "no user of the machine's")


if __name__ == "__main__":
    for built in (GYRED, CLI):
        if not built.is_file():
            sys.exit(f"{built} is missing; build it first")
    unittest.main()
