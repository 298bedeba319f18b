#!/usr/bin/env python3
"""Makes the manifests on standard input fit for a small machine: our image of Kafka, a small heap, and disks in memory
unless the argument is "keep".

Nothing that kraftlet looks at is changed. Only what `kubectl kustomize` prints is read, which has one form.
"""

import re
import sys

HEAP = "-Xms128m -Xmx320m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"


def main():
    text = sys.stdin.read()
    text = text.replace("image: apache/kafka:4.4.0", "image: localhost/apache/kafka:4.4.0")
    text = re.sub(r"(?m)^( +)(name: kafka\n)", rf'\1\2\1env:\n\1- name: KAFKA_HEAP_OPTS\n\1  value: "{HEAP}"\n', text)
    if sys.argv[1:] != ["keep"]:
        text = re.sub(r"(?ms)^  volumeClaimTemplates:\n.*?(?=^---|\Z)", "", text)
        text = "---\n".join(with_disk(document) for document in text.split("---\n"))
    sys.stdout.write(text)


def with_disk(document):
    disk = "      - name: data\n        emptyDir: {}\n"
    if re.search(r"(?m)^      volumes:\n", document):
        return re.sub(r"(?m)^      volumes:\n", "      volumes:\n" + disk, document)
    return re.sub(r"(?m)^      containers:\n", "      volumes:\n" + disk + "      containers:\n", document)


if __name__ == "__main__":
    main()
