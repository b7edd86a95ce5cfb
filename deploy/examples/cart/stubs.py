#!/usr/bin/env python3
"""Python stubs of the published contract, api/proto/gyre.proto, generated when they are needed.

    stubs.py DIR      generates them into DIR

They are never committed: a directory of the build holds them, beside a copy of the contract that
they were made from, so that a changed contract makes them anew. Several processes may do that at
once; each puts whole files into place.
"""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

CONTRACT = Path(__file__).resolve().parents[3] / "api" / "proto" / "gyre.proto"
GENERATED = ("gyre_pb2.py", "gyre_pb2_grpc.py")


class Wire(NamedTuple):
    messages: ModuleType  # gyre_pb2
    services: ModuleType  # gyre_pb2_grpc


class GenerationFailed(Exception):
    """protoc or its Python plugin is missing, or refused the contract."""


def generate(directory: Path, contract: Path = CONTRACT) -> None:
    """Makes the stubs unless `directory` holds those of this very contract."""
    made_from = directory / contract.name
    if (made_from.is_file() and all((directory / name).is_file() for name in GENERATED)
            and made_from.read_bytes() == contract.read_bytes()):
        return
    plugin = shutil.which("grpc_python_plugin")
    if plugin is None or shutil.which("protoc") is None:
        raise GenerationFailed("needs protoc and grpc_python_plugin: "
                               "apt install protobuf-compiler protobuf-compiler-grpc")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".new-") as fresh:
        shutil.copyfile(contract, Path(fresh) / contract.name)
        made = subprocess.run(
            ["protoc", f"-I{fresh}", f"--plugin=protoc-gen-grpc_python={plugin}",
             f"--python_out={fresh}", f"--grpc_python_out={fresh}", contract.name],
            capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise GenerationFailed(f"protoc: {made.stderr.strip()}")
        for name in (*GENERATED, contract.name):  # the contract last: it says that all is there
            os.replace(Path(fresh) / name, directory / name)


def load(directory: Path) -> Wire:
    """The stubs in `directory`, made first where they are missing or old."""
    generate(directory)
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    return Wire(*(importlib.import_module(Path(name).stem) for name in GENERATED))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        generate(Path(sys.argv[1]).resolve())
    except GenerationFailed as failure:
        sys.exit(f"stubs.py: {failure}")
