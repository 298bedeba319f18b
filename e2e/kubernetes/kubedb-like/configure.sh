#!/bin/sh
# What KubeDB's own init container does: the properties of this pod, and its disk formatted.
set -e
name() {
    echo "events-$1.events-pods.$NAMESPACE.svc.cluster.local"
}
id="${POD_NAME##*-}"
file=/opt/kafka/config/kafkaconfig/kafka.properties
cat >"$file" <<PROPERTIES
node.id=$id
process.roles=broker,controller
controller.quorum.voters=0@$(name 0):9093,1@$(name 1):9093,2@$(name 2):9093
listeners=INTERNAL://:9091,CLIENT://:9092,CONTROLLER://:9093
advertised.listeners=INTERNAL://$(name "$id"):9091,CLIENT://$(name "$id"):9092
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:SSL,INTERNAL:SSL,CLIENT:SSL
log.dirs=/var/log/kafka/data
offsets.topic.replication.factor=3
ssl.client.auth=required
ssl.keystore.type=JKS
ssl.keystore.location=/var/private/ssl/server.keystore.jks
ssl.keystore.password=changeit
ssl.key.password=changeit
ssl.truststore.type=JKS
ssl.truststore.location=/var/private/ssl/server.truststore.jks
ssl.truststore.password=changeit
PROPERTIES
exec "$JAVA_HOME/bin/java" -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
    -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties -cp "/opt/kafka/libs/*" \
    kafka.tools.StorageTool format --ignore-formatted -t V8bkTO3CTFuVXs3N5Rr5iA -c "$file"
