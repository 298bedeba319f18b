#!/usr/bin/env python3
"""Reads `cargo metadata` and writes what is linked into kraftlet as CycloneDX 1.5 (JSON), in a stable order."""

import json
import sys


def main():
    metadata = json.load(sys.stdin)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    root = next(id for id, package in packages.items() if package["name"] == "kraftlet")
    linked, waiting = set(), [root]
    while waiting:
        id = waiting.pop()
        for dependency in nodes[id]["deps"]:
            # What only builds or only tests is in no image.
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and dependency["pkg"] not in linked:
                linked.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    components = [
        {
            "type": "library",
            "name": packages[id]["name"],
            "version": packages[id]["version"],
            "purl": "pkg:cargo/{name}@{version}".format(**packages[id]),
            "licenses": [{"expression": packages[id]["license"]}] if packages[id]["license"] else [],
        }
        for id in linked
    ]
    components.sort(key=lambda one: (one["name"], one["version"]))
    components.append({"type": "library", "group": "dev.kraftlet", "name": "ssl-engine",
                       "version": packages[root]["version"], "licenses": [{"expression": "Apache-2.0"}]})
    json.dump({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "kraftlet", "version": packages[root]["version"]}},
        "components": components,
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
