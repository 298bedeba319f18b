#!/usr/bin/env bash
# Makes the images that the cluster's pods run: kraftlet as it is shipped, pause, and a Kafka laid out like Apache's.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

KAFKA=4.4.0

# Of the JDK what Kafka needs, in a fifth of its size.
make_runtime() {
    local modules=java.base,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,java.sql
    modules+=,java.xml,jdk.unsupported,jdk.crypto.ec,jdk.management,jdk.security.jgss,jdk.zipfs,java.instrument,java.desktop
    [[ ! -d "$CACHE_DIR/java-runtime" ]] || return 0
    jlink --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --output "$CACHE_DIR/java-runtime.new"
    mv "$CACHE_DIR/java-runtime.new" "$CACHE_DIR/java-runtime"
}

# The C libraries of Java, by the names that the loader looks for.
libraries() {
    local runtime="$CACHE_DIR/java-runtime" library
    for library in "$runtime"/bin/java "$runtime"/lib/server/libjvm.so "$runtime"/lib/lib{java,net,nio,zip,jli,management}.so; do
        ldd "$library"
    done | awk '/=> \//{ print $3 } /ld-linux/{ print $1 }' | grep -v "$runtime" | sort -u |
        while read -r library; do printf '%s=%s\n' "$(readlink -f "$library")" "$library"; done
}

make_kafka() {
    local out="$IMAGES/kafka-$KAFKA.tar" files sources=("$KUBERNETES_DIR/kafka-image" "$E2E_DIR/java" "$REPO_DIR/images/archive.py")
    [[ ! -e "$out" || -n "$(find "${sources[@]}" -newer "$out")" ]] || return 0
    fetch_kafka "$KAFKA"
    make_runtime
    java_class_path "$KAFKA" ClusterClient >/dev/null
    java_class_path "$KAFKA" LoadClient >/dev/null
    mapfile -t files < <(libraries)
    python3 "$REPO_DIR/images/archive.py" "$out" "localhost/apache/kafka:$KAFKA" --architecture "$(image_architecture)" \
        --user 1000:1000 --cmd /opt/kafka/bin/kafka-server-start.sh,/opt/kafka/config/server.properties \
        --env JAVA_HOME=/opt/java --env PATH=/bin:/opt/java/bin --folder /tmp --folder /opt/kafka/logs \
        "$CACHE_DIR/java-runtime=/opt/java" "$(kafka_libs "$KAFKA")=/opt/kafka/libs" \
        "$CACHE_DIR/kafka-$KAFKA/classes=/opt/tests" \
        "$KUBERNETES_DIR/kafka-image/kafka-server-start.sh=/opt/kafka/bin/kafka-server-start.sh" \
        "$E2E_DIR/java/log4j2.properties=/opt/kafka/config/log4j2.properties" \
        /bin/busybox=/bin/busybox /bin/busybox=/bin/sh "${files[@]}" >/dev/null
}

main() {
    mkdir -p "$IMAGES"
    python3 "$REPO_DIR/images/archive.py" "$IMAGES/pause.tar" localhost/pause:1 --architecture "$(image_architecture)" \
        --entrypoint /pause "$KUBERNETES_BIN/pause=/pause" >/dev/null
    "$REPO_DIR/images/build.sh" "$IMAGES/kraftlet.tar" localhost/kraftlet:test
    make_kafka
}

main
