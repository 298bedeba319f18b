#!/usr/bin/env python3
"""What kraftlet has added to a pod, or to a StatefulSet's template: sorted JSON, without what the API server fills in.

Reads an object or a list of objects on standard input.
"""

import json
import sys

DEFAULTS = {"terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "protocol", "scheme",
            "successThreshold", "recursiveReadOnly"}


def cleaned(value):
    if isinstance(value, dict):
        kept = {key: cleaned(one) for key, one in value.items() if key not in DEFAULTS}
        if kept.get("apiVersion") == "v1" and set(kept) == {"apiVersion", "fieldPath"}:
            del kept["apiVersion"]
        return kept
    if isinstance(value, list):
        # The token of the service account comes after admission, into every container that has no mount there.
        return [cleaned(one) for one in value if not str(one.get("name", "") if isinstance(one, dict) else "").startswith("kube-api-access")]
    return value


def main():
    given = json.load(sys.stdin)
    objects = given["items"] if given["kind"] == "List" else [given]
    pod = next(one for one in objects if one["kind"] in ("Pod", "StatefulSet"))
    spec = pod["spec"] if pod["kind"] == "Pod" else pod["spec"]["template"]["spec"]
    kafka = next(one for one in spec["containers"] if one["name"] == "kafka")
    added = {
        "initContainers": spec["initContainers"],
        "volumes": [one for one in spec["volumes"] if one["name"].startswith("kraftlet-")],
        "grace": spec["terminationGracePeriodSeconds"],
        "links": spec["enableServiceLinks"],
        "security": spec["securityContext"],
        "kafka": {key: kafka.get(key) for key in ("command", "env", "volumeMounts", "readinessProbe", "lifecycle")},
    }
    for volume in added["volumes"]:
        volume.get("configMap", {}).pop("defaultMode", None)
    json.dump(cleaned(added), sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
