"""Pods: what a drill runs nodes in, as Kubernetes would: a name, a volume that outlives the pod, an
address that does not, the rendered configuration and arguments.

    engine = pods.Namespaces(folder, workload)      # inside isolation.enter()
    pod = engine.pod("gyre-0")
    pod.create()                                     # another address each time
    pod.terminate(); pod.restart()                   # the container; the volume stays
    pod.delete(); pod.lose_volume()
    engine.close()

Namespaces gives each pod a network namespace and runs the gyred that was built, as this user;
Docker runs the image of deploy/image as Kubernetes would: another user, nothing to write to but the
volume, no capabilities. Both leave nothing behind, and end nothing but what they started.

Thread rule: one thread.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
from gyre_processes import CLI, GYRED, ROOT, Program, wait_until  # noqa: E402
from network import Host, Network  # noqa: E402
from rules import Objects  # noqa: E402: beside this file

GRACE_S = 60
_STARTED_WITHIN_S = 60
_NEEDS_BUILDX = 23  # docker clients from that version on


class Pod:
    """What both kinds have in common: a name, a volume and an environment."""

    def __init__(self, engine: "Engine", name: str):
        self.engine = engine
        self.name = name
        self.volume = engine.folder / "volumes" / name
        self.exists = False
        self.more_arguments: list[str] = []  # of an overlay, for the next `create`

    @property
    def environment(self) -> dict[str, str]:
        values = {"metadata.name": self.name, "metadata.namespace": self.engine.namespace}
        return {one["name"]: values[one["valueFrom"]["fieldRef"]["fieldPath"]]
                for one in self.engine.workload.container["env"]}

    @property
    def arguments(self) -> list[str]:
        return [*self.engine.workload.container["args"], *self.more_arguments]

    def claim(self) -> None:
        """The volume, made where it is not there."""
        self.volume.mkdir(parents=True, exist_ok=True)

    def lose_volume(self) -> None:
        shutil.rmtree(self.volume)

    def wait_for_end(self, within_s: float) -> int:
        """The exit code, once it has ended by itself."""
        wait_until(lambda: not self.is_running, f"{self.name} ends", within_s)
        return self.exit_code


class Engine:
    def __init__(self, folder: Path, workload: Objects, namespace: str = "gyre"):
        self.folder = folder
        self.workload = workload
        self.namespace = namespace
        where, key = workload.arguments["--config"].rsplit("/", 1)
        self.config_folder = folder / "config"
        self.config_folder.mkdir()
        (self.config_folder / key).write_text(workload.config_text)
        self.config_key, self.config_mount = key, where


class NamespacePod(Pod):
    def __init__(self, engine: "Namespaces", name: str):
        super().__init__(engine, name)
        self._host: Host | None = None
        self._program: Program | None = None

    @property
    def address(self) -> str:
        return self._host.address

    @property
    def is_running(self) -> bool:
        return self._program is not None and self._program.is_running

    @property
    def exit_code(self) -> int | None:
        return self._program.exit_code

    def create(self) -> None:
        self.claim()
        self._host = self.engine.new_host()
        config = self.engine.config_folder / self.engine.config_key
        arguments = [f"--config={config}" if argument.startswith("--config=") else argument
                     for argument in self.arguments]
        self._program = Program(
            self.name, self._host.command([GYRED, *arguments, f"--data-dir={self.volume}/data"]),
            self.engine.folder, self.environment)
        self.exists = True
        self.restart()

    def restart(self) -> None:
        self._program.launch()

    def terminate(self) -> int:
        return self._program.terminate(GRACE_S)

    def kill(self) -> None:
        self._program.kill()

    def log(self) -> str:
        return self._program.log()

    def delete(self) -> None:
        self._program.close()
        self._host.close()
        self.exists = False


class Namespaces(Engine):
    name = "namespaces"
    hub = "10.91.0.254"  # network.Network's own

    def __init__(self, folder: Path, workload: Objects):
        super().__init__(folder, workload)
        self._network = Network(hosts=0)
        self._hosts = 0

    def new_host(self) -> Host:
        self._hosts += 1
        return Host(self._hosts - 1)

    def pod(self, name: str) -> NamespacePod:
        return NamespacePod(self, name)

    def close(self) -> None:
        self._network.close()


def docker_client() -> str:
    """The first on the PATH that can build with BuildKit, which leaves out the stages that an image
    does not need: older ones can, newer ones need a part of their own for it, buildx."""
    found = [client for folder in os.get_exec_path()
             if (client := shutil.which("docker", path=folder)) is not None]
    for client in found:
        def said(*words: str, client: str = client) -> str | None:
            done = subprocess.run([client, *words], capture_output=True, text=True, check=False)
            return done.stdout if done.returncode == 0 else None
        major = re.search(r"version (\d+)", said("--version") or "")
        if (major and int(major[1]) < _NEEDS_BUILDX) or said("buildx", "version") is not None:
            return client
    raise OSError(f"no docker client that builds with BuildKit among {found}")


class Dockerd:
    """A daemon of the drill's own: its images are kept in `root`, all else is in `folder`. Without
    `bridge` (an address with its mask) containers have the network of the machine or none."""

    def __init__(self, folder: Path, root: Path, bridge: str | None = None):
        self._client = docker_client()
        self._host = f"unix://{folder}/docker.sock"
        self._log = open(folder / "dockerd.log", "ab")  # closed with the daemon
        network = ["--bip", bridge] if bridge else ["--bridge", "none"]
        self._process = subprocess.Popen(
            ["dockerd", "--host", self._host, "--data-root", root, "--exec-root", folder / "exec",
             "--pidfile", folder / "docker.pid", "--iptables=false", "--ip6tables=false",
             "--ip-forward=false", "--ip-masq=false", *network],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT)
        ends = time.monotonic() + _STARTED_WITHIN_S
        while self._call("info").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > ends:
                self.close()
                log = (folder / "dockerd.log").read_text(errors="replace")
                raise OSError(f"dockerd did not start:\n{log[-3000:]}")
            time.sleep(0.1)

    def _call(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run([self._client, "--host", self._host, *words], capture_output=True,
                              text=True, check=False, env={**os.environ, **environment})

    def __call__(self, *words: str | Path, **environment: str) -> str:
        done = self._call(*words, **environment)
        if done.returncode != 0:
            raise OSError(f"docker {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr if words[0] == "logs" else done.stdout.strip()

    def has(self, image: str) -> bool:
        return bool(self("images", "--quiet", image))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


def build_image(folder: Path, root: Path, image: str) -> None:
    """deploy/image/Dockerfile, with the programs that are built already, on a Debian from its own
    archive: no registry takes part. In the network of the machine."""
    with contextlib.ExitStack() as closing:
        docker = Dockerd(folder, root)
        closing.callback(docker.close)
        (base,) = {line.split()[1] for line in
                   (ROOT / "deploy/image/Dockerfile").read_text().splitlines()
                   if line.startswith("FROM debian")}
        if not docker.has(base):
            print(f"a {base} of Debian's archive, by debootstrap", flush=True)
            made = folder / "debian"
            subprocess.run(["debootstrap", "--variant=minbase", "bookworm", made], check=True,
                           stdout=subprocess.DEVNULL)
            archive = folder / "debian.tar"
            subprocess.run(["tar", "--create", "--file", archive, "--directory", made,
                            "--exclude=./var/cache/apt/archives/*.deb", "."], check=True)
            docker("import", archive, base)
            archive.unlink()
            shutil.rmtree(made)
        built = folder / "built.tar"
        with tarfile.open(built, "w") as tar:
            for program in (GYRED, CLI):
                stripped = folder / program.name
                subprocess.run(["strip", "--strip-debug", "-o", stripped, program], check=True)
                tar.add(stripped, f"out/{program.name}")
        docker("import", built, "gyre-built")
        print(f"building {image}", flush=True)
        docker("build", "--network", "host", "--file", ROOT / "deploy/image/Dockerfile",
               "--build-arg", "BUILT=gyre-built", "--tag", image, ROOT, DOCKER_BUILDKIT="1")


class Container(Pod):
    def __init__(self, engine: "Docker", name: str):
        super().__init__(engine, name)
        self.address = ""

    def _state(self) -> dict:
        return json.loads(self.engine.docker("inspect", self.name))[0]["State"]

    @property
    def is_running(self) -> bool:
        return self.exists and self._state()["Running"]

    @property
    def exit_code(self) -> int:
        return self._state()["ExitCode"]

    def claim(self) -> None:
        """As the kubelet does with fsGroup: of root, writable for the group."""
        super().claim()
        os.chown(self.volume, 0, self.engine.workload.pod["securityContext"]["fsGroup"])
        self.volume.chmod(0o2770)

    def create(self) -> None:
        self.claim()
        workload, mounts = self.engine.workload, self.engine.workload.mounts
        context, own = workload.pod["securityContext"], workload.container["securityContext"]
        (data,) = (path for path in mounts.values() if path != self.engine.config_mount)
        self.engine.docker(
            "run", "--detach", "--name", self.name, "--hostname", self.name,
            "--user", f"{context['runAsUser']}:{context['runAsGroup']}", "--read-only",
            *(f"--cap-drop={name}" for name in own["capabilities"]["drop"]),
            "--security-opt", "no-new-privileges",
            "--memory", str(workload.container["resources"]["limits"]["memory"])[:-1].lower(),
            *(word for name, value in self.environment.items() for word in
              ("--env", f"{name}={value}")),
            "--volume", f"{self.volume}:{data}",
            "--volume", f"{self.engine.config_folder}:{self.engine.config_mount}:ro",
            "--volume", f"{self.engine.folder}/resolv.conf:/etc/resolv.conf:ro",
            workload.container["image"], *self.arguments)
        self.exists = True
        self._look()

    def _look(self) -> None:
        networks = json.loads(self.engine.docker("inspect", self.name))[0]["NetworkSettings"]
        self.address = networks["IPAddress"]

    def restart(self) -> None:
        self.engine.docker("start", self.name)
        self._look()

    def terminate(self) -> int:
        self.engine.docker("stop", "--time", str(GRACE_S), self.name)
        return self.exit_code

    def kill(self) -> None:
        self.engine.docker("kill", self.name)

    def log(self) -> str:
        return self.engine.docker("logs", self.name)

    def delete(self) -> None:
        self.engine.docker("rm", "--force", self.name)
        self.exists = False
        self.engine.hold_address()


class Docker(Engine):
    name = "docker"
    hub = "10.93.0.1"

    def __init__(self, folder: Path, workload: Objects, root: Path):
        super().__init__(folder, workload)
        for readable in (folder, self.config_folder):
            readable.chmod(0o755)
        self.docker = Dockerd(folder, root, f"{self.hub}/24")
        self._held = 0

    def hold_address(self) -> None:
        """Takes the address that has just become free, which Docker would give to the next one."""
        self._held += 1
        self.docker("run", "--detach", "--name", f"held-{self._held}", "--entrypoint", "sleep",
                    self.workload.container["image"], "infinity")

    def pod(self, name: str) -> Container:
        return Container(self, name)

    def close(self) -> None:
        for number in range(self._held):
            self.docker("rm", "--force", f"held-{number + 1}")
        self.docker.close()
