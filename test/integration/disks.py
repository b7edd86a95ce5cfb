"""Disks that fill up, lose power and fail to sync.

    disk = LoopDisk(mib=64)               # ext4 in a file, mounted at disk.path; needs root
    disk.fill()                           # every later write that needs room fails: ENOSPC
    disk.empty()                          # there is room again
    copy = disk.copy()                    # what a power cut at this moment would leave
    disk.cut_power()                      # what was not synced is gone; disk.replace() mounts anew
    with failing_syncs(pid): ...          # fsync and fdatasync of that process answer EIO
    damage(path, at)                      # a byte of a file is another one from now on

Mounts are of this process's mount namespace (isolation.py) and go with it at the latest.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Iterator

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, which is XFS_IOC_GOINGDOWN
_WITHOUT_FLUSHING_THE_JOURNAL = 2
_BALLAST = "ballast"
_ATTACHED_WITHIN_S = 10.0
_UNUSED_WITHIN_S = 10.0


def _run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def damage(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x5A]))


class Mount:
    """A file system of the test's own, at `path`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gyre-disk-"))
        self.path = self._folder / "mount"
        self.path.mkdir()

    def fill(self) -> None:
        """Takes all room that is left."""
        free = os.statvfs(self.path)
        ballast = os.open(self.path / _BALLAST, os.O_WRONLY | os.O_CREAT)
        try:
            os.posix_fallocate(ballast, 0, max(free.f_bavail * free.f_frsize, 1))
            os.lseek(ballast, 0, os.SEEK_END)
            while True:
                os.write(ballast, bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(ballast)

    def empty(self) -> None:
        """Takes the ballast away again."""
        (self.path / _BALLAST).unlink(missing_ok=True)

    def close(self) -> None:
        # Lazily: a process that should be gone must not keep the rest of a clean-up from happening.
        subprocess.run(["umount", "--lazy", self.path], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)


class Tmpfs(Mount):
    def __init__(self, mib: int):
        super().__init__()
        _run("mount", "-t", "tmpfs", "-o", f"size={mib}m", "gyre", self.path)


class LoopDisk(Mount):
    """ext4 in a sparse file. The file holds what has reached the disk, and nothing else."""

    def __init__(self, mib: int, *, image: Path | None = None):
        super().__init__()
        self._image = self._folder / "image"
        if image is None:
            with open(self._image, "wb") as file:
                file.truncate(mib << 20)
            # Nothing is left to be written in the background once mkfs has ended.
            _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self._image)
        else:
            _run("cp", "--sparse=always", image, self._image)
        self._mib = mib
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", self._image, self.path)

    def copy(self) -> "LoopDisk":
        """Another disk with what this one holds at the moment. Whoever writes to this one should be
        paused: a copy takes a moment, and a disk is never in the states of two moments."""
        return LoopDisk(self._mib, image=self._image)

    def cut_power(self) -> None:
        """From now on every access fails, and what was not synced is gone."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING_THE_JOURNAL))
        finally:
            os.close(folder)

    def replace(self) -> None:
        """Power is back: mounts what reached the disk. Nobody may use the old mount any more."""
        ends = time.monotonic() + _UNUSED_WITHIN_S
        while subprocess.run(["umount", self.path], capture_output=True, check=False).returncode:
            if time.monotonic() > ends:
                raise OSError(f"{self.path} stays in use")
            time.sleep(0.02)
        self._mount()


def why_no_failing_syncs() -> str:
    """Why syncs cannot be made to fail here; "" where they can."""
    if shutil.which("strace") is None:
        return "strace is missing"
    child = subprocess.Popen(["sleep", "60"])
    try:
        with failing_syncs(child.pid):
            return ""
    except OSError as error:
        return str(error)
    finally:
        child.kill()
        child.wait()


class FailingSyncs:
    """fsync and fdatasync of a running process answer EIO, until `close` or its end."""

    def __init__(self, pid: int):
        self._strace = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-e", "trace=fsync,fdatasync",
             "-e", "inject=fsync,fdatasync:error=EIO", "-o", "/dev/null"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        ends = time.monotonic() + _ATTACHED_WITHIN_S
        while not self._has_all_of(pid):
            if self._strace.poll() is not None:
                raise OSError(self._strace.stderr.read().decode().strip())
            if time.monotonic() > ends:
                self.close()
                raise OSError("strace does not come to trace the process")
            time.sleep(0.01)

    def _has_all_of(self, pid: int) -> bool:
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = (task / "status").read_text(encoding="utf-8")
            if f"TracerPid:\t{self._strace.pid}\n" not in status:
                return False
        return True

    def close(self) -> None:
        if self._strace.poll() is None:
            self._strace.terminate()
        self._strace.wait()
        self._strace.stderr.close()


@contextlib.contextmanager
def failing_syncs(pid: int) -> Iterator[None]:
    syncs = FailingSyncs(pid)
    try:
        yield
    finally:
        syncs.close()
