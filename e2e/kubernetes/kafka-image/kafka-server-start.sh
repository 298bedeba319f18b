#!/bin/sh
# Starts Kafka as the script of the same name in Apache's image does: the same variables, the same class path.
set -e
export LOG_DIR="${LOG_DIR:-/opt/kafka/logs}"
exec "$JAVA_HOME/bin/java" ${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G} ${KAFKA_JVM_PERFORMANCE_OPTS:--server} \
    "-Dkafka.logs.dir=$LOG_DIR" ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties} \
    -cp "${CLASSPATH:+$CLASSPATH:}/opt/kafka/libs/*" $KAFKA_OPTS kafka.Kafka "$@"
