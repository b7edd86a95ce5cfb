"""Kustomization: what `kubectl kustomize FOLDER` prints, for the few features that deploy/k8s uses.

    objects = kustomization.render(Path("deploy/k8s/overlays/dev"))    # a list of dicts, in order

So that the objects are checked where there is no kubectl; where there is one, objects_test.py
holds the two against each other. What it does not know it refuses (Unknown), so that nothing is
left out in silence. Known are `resources` (files and folders), `patches` (JSON 6902, on a target of
a kind and a name) and `images`.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

API_VERSION = "kustomize.config.k8s.io/v1beta1"


class Unknown(Exception):
    """A feature of kustomize that is not known here, or a mistake in a kustomization."""


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is there twice is a mistake, and not the last one."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    mapping: dict = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise Unknown(f"{key_node.start_mark}: the key {key!r} is there twice")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def documents(text: str) -> list[Any]:
    """The documents of a YAML text that are not empty."""
    return [document for document in yaml.load_all(text, _Loader) if document is not None]


def _only(fields: dict, known: set[str], where: str) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        raise Unknown(f"{where}: unknown field {unknown[0]!r}")


def _step(part: Any, key: str, where: str) -> Any:
    if isinstance(part, list):
        index = int(key)
        if not 0 <= index < len(part):
            raise Unknown(f"{where}: there is no item {key}")
        return index
    if key not in part:
        raise Unknown(f"{where}: there is no field {key!r}")
    return key


def apply_patch(target: dict, operations: list[dict], where: str = "patch") -> dict:
    """RFC 6902: add, remove and replace."""
    patched = copy.deepcopy(target)
    for operation in operations:
        _only(operation, {"op", "path", "value"}, where)
        op, path = operation["op"], operation["path"]
        here = f"{where}: {op} {path}"
        *way, last = (key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:])
        part = patched
        for key in way:
            part = part[_step(part, key, here)]
        if op == "add" and isinstance(part, list):
            part.insert(len(part) if last == "-" else int(last), operation["value"])
        elif op == "add":
            part[last] = operation["value"]
        elif op == "replace":
            part[_step(part, last, here)] = operation["value"]
        elif op == "remove":
            del part[_step(part, last, here)]
        else:
            raise Unknown(f"{here}: unknown operation")
    return patched


def _patched(objects: list[dict], patch: dict, where: str) -> list[dict]:
    _only(patch, {"target", "patch"}, where)
    _only(patch["target"], {"kind", "name"}, where)
    (operations,) = documents(patch["patch"])
    matches = [one for one in objects if one["kind"] == patch["target"]["kind"]
               and one["metadata"]["name"] == patch["target"]["name"]]
    if len(matches) != 1:
        raise Unknown(f"{where}: {patch['target']} names {len(matches)} objects")
    return [apply_patch(one, operations, where) if one is matches[0] else one for one in objects]


def _rename(part: Any, image: dict) -> None:
    """In every `containers` and `initContainers` below."""
    if isinstance(part, list):
        for item in part:
            _rename(item, image)
    if not isinstance(part, dict):
        return
    for key, value in part.items():
        if key in ("containers", "initContainers"):
            for container in value:
                name, _, tag = container["image"].partition(":")
                if name == image["name"]:
                    tag = image.get("newTag", tag)
                    container["image"] = image.get("newName", name) + (f":{tag}" if tag else "")
        _rename(value, image)


def render(folder: Path) -> list[dict]:
    """The objects of the kustomization in that folder."""
    where = str(folder / "kustomization.yaml")
    (fields,) = documents((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    _only(fields, {"apiVersion", "kind", "resources", "patches", "images"}, where)
    if fields.get("apiVersion") != API_VERSION or fields.get("kind") != "Kustomization":
        raise Unknown(f"{where}: not {API_VERSION} Kustomization")
    objects: list[dict] = []
    for resource in fields.get("resources", []):
        path = folder / resource
        objects += (render(path) if path.is_dir() else
                    documents(path.read_text(encoding="utf-8")))
    for patch in fields.get("patches", []):
        objects = _patched(objects, patch, where)
    for image in fields.get("images", []):
        _only(image, {"name", "newName", "newTag"}, where)
        for one in objects:
            _rename(one, {key: str(value) for key, value in image.items()})
    return objects
