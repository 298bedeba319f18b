#!/usr/bin/env python3
"""Writes what is linked into kraftlet, and the jar beside it, as CycloneDX 1.5 (JSON), in a stable order.

    cargo tree --prefix none --format '{p}|{l}' ... | images/sbom.py 'NAME vVERSION|LICENCE'...

The first crate is kraftlet itself; the arguments are what is linked and is no crate.
"""

import json
import sys


def component(line, kind):
    package, licence = line.removesuffix(" (*)").split("|")
    name, version = package.split()[:2]
    version = version.removeprefix("v")
    # Cargo's older way of writing "or" is none of SPDX's.
    licence = " OR ".join(part.strip() for part in licence.split("/"))
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:{kind}/{name}@{version}",
        "licenses": [{"expression": licence}] if licence else [],
    }


def main():
    crates = [component(line, "cargo") for line in sys.stdin.read().splitlines()]
    root = crates[0]
    components = [one for one in crates if one != root] + [component(line, "generic") for line in sys.argv[1:]]
    components.append({"type": "library", "group": "dev.kraftlet", "name": "ssl-engine",
                       "version": root["version"], "licenses": root["licenses"]})
    # A crate is printed once for each that needs it.
    components = {(one["name"], one["version"]): one for one in components}
    json.dump({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": root["name"], "version": root["version"]}},
        "components": [components[key] for key in sorted(components)],
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
