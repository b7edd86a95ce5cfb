"""Namespaces of a test's own: its network and its mounts are seen by nobody else, and are gone when
the last of its processes is.

    isolation.enter()                     # first of all: the script begins again, inside
    @isolation.needed                     # skips a test, with the reason, where that is forbidden
    def test_something(self): ...

Inside, 127.0.0.1 is the test's alone, and what is mounted is mounted for the test alone. Without
root the user namespace makes one of it; mounting a disk image then stays forbidden
(`disks_needed`).
"""

import os
import subprocess
import sys
import unittest

_INSIDE = "GYRE_ISOLATED"  # in the environment: "yes", or why not


def enter() -> None:
    """Starts the script anew, isolated. Returns inside, or where that is forbidden."""
    if _INSIDE in os.environ:
        return
    command = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        command.append("--map-root-user")
    try:
        tried = subprocess.run([*command, "ip", "link", "set", "lo", "up"], capture_output=True,
                               text=True, check=False)
        why = "" if tried.returncode == 0 else tried.stderr.strip()
    except FileNotFoundError as error:
        why = str(error)
    if why:
        os.environ[_INSIDE] = f"no namespaces here: {why}"
        return
    os.environ[_INSIDE] = "yes" if os.geteuid() == 0 else "yes, as another user"
    # `ip` once more, since what was tried is gone; exec, so that signals still find this process.
    os.execvp(command[0], [*command, "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
                           sys.executable, "-B", *sys.argv])


def why_not() -> str:
    """Why there are no namespaces; "" where there are."""
    state = os.environ.get(_INSIDE, "isolation.enter was not called")
    return "" if state.startswith("yes") else state


def why_no_disks() -> str:
    """Why no disk image can be mounted; "" where one can."""
    if why_not() or os.environ[_INSIDE] == "yes":
        return why_not()
    return "mounting a disk image takes root"


def needed(test):
    """A test, or a class of them, that needs namespaces."""
    return unittest.skipIf(why_not(), why_not())(test)


def disks_needed(test):
    """A test, or a class of them, that mounts disk images."""
    return unittest.skipIf(why_no_disks(), why_no_disks())(test)
