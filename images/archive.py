#!/usr/bin/env python3
"""Writes an image archive by hand: one layer, no daemon, the same bytes for the same files.

    images/archive.py OUT.tar NAME:TAG --architecture amd64 [--entrypoint /a] [--cmd a,b] [--user 1] [--env K=V]
        SOURCE=TARGET...
    images/archive.py OUT.tar NAME:TAG --architecture amd64 --dockerfile FILE [--build-arg K=V] --context FOLDER

`ctr images import` and `docker load` take it. A SOURCE that is a folder comes with all that is in it, links as links.
Of a Dockerfile it knows what an image from scratch needs, and refuses the rest.
Prints the layer's size in bytes and the digest of the image's configuration, which names its content.
"""

import argparse
import hashlib
import io
import json
import os
import shlex
import string
import tarfile
import tempfile


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("files", nargs="*", metavar="SOURCE=TARGET")
    parser.add_argument("--entrypoint")
    parser.add_argument("--cmd", default="")
    parser.add_argument("--user", default="")
    parser.add_argument("--architecture", required=True, choices=["amd64", "arm64"])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--folder", action="append", default=[], help="an empty folder, with mode 1777")
    parser.add_argument("--dockerfile")
    parser.add_argument("--build-arg", action="append", default=[])
    parser.add_argument("--context", default=".")
    wanted = parser.parse_intermixed_args()
    wanted.entrypoint = [wanted.entrypoint] if wanted.entrypoint else None
    wanted.labels = {}
    if wanted.dockerfile:
        read_dockerfile(wanted)
    return wanted


def read_dockerfile(wanted):
    """Adds to the arguments what the Dockerfile says."""
    given, known = dict(one.split("=", 1) for one in wanted.build_arg), {}
    with open(wanted.dockerfile, encoding="utf-8") as file:
        lines = "".join(line for line in file if not line.startswith("#")).replace("\\\n", " ").splitlines()
    for line in filter(str.strip, lines):
        word, rest = line.split(maxsplit=1)
        rest = string.Template(rest).substitute(known)
        if word == "ARG":
            if rest not in given:
                raise SystemExit(f"{wanted.dockerfile} wants --build-arg {rest}=...")
            known[rest] = given[rest]
        elif word == "COPY":
            source, target = rest.split()
            wanted.files.append(os.path.join(wanted.context, source) + "=" + target)
        elif word == "LABEL":
            wanted.labels.update(label.split("=", 1) for label in shlex.split(rest))
        elif word == "USER":
            wanted.user = rest
        elif word == "ENTRYPOINT":
            wanted.entrypoint = json.loads(rest)
        elif line != "FROM scratch":
            raise SystemExit(f"{wanted.dockerfile}: this is not known here: {line}")


def plain(entry):
    """Nothing of the machine that it was made on: no owner, no time, no more modes than two."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    if entry.isfile():
        entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    elif entry.isdir():
        entry.mode = 0o755
    return entry


def write_layer(path, files, folders):
    made = set()

    def make_folders(tar, path, mode):
        parts = path.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            name = "/".join(parts[:end])
            if name and name not in made:
                made.add(name)
                entry = tarfile.TarInfo(name)
                entry.type = tarfile.DIRTYPE
                entry.mode = mode if end == len(parts) else 0o755
                tar.addfile(entry)

    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for folder in folders:
            make_folders(tar, folder, 0o1777)
        for file in files:
            source, _, target = file.partition("=")
            make_folders(tar, os.path.dirname(target), 0o755)
            tar.add(source, target.strip("/"), filter=plain)


def main():
    wanted = arguments()
    with tempfile.NamedTemporaryFile(suffix=".tar", dir=os.path.dirname(os.path.abspath(wanted.out))) as layer:
        write_layer(layer.name, wanted.files, wanted.folder)
        with open(layer.name, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = os.path.getsize(layer.name)
        config = {
            "architecture": wanted.architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "User": wanted.user,
                "Env": wanted.env,
                "Entrypoint": wanted.entrypoint,
                "Cmd": wanted.cmd.split(",") if wanted.cmd else None,
                "WorkingDir": "/",
                "Labels": wanted.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
        }
        config = json.dumps(config, sort_keys=True).encode()
        name = hashlib.sha256(config).hexdigest()
        manifest = [{"Config": name + ".json", "RepoTags": [wanted.name], "Layers": ["layer.tar"]}]
        with tarfile.open(wanted.out, "w", format=tarfile.GNU_FORMAT) as tar:
            for file, content in ((name + ".json", config), ("manifest.json", json.dumps(manifest).encode())):
                entry = tarfile.TarInfo(file)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            tar.add(layer.name, "layer.tar", filter=plain)
    print(size, "sha256:" + name)


if __name__ == "__main__":
    main()
