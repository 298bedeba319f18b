#!/usr/bin/env bash
# Prints alerts.yaml as a PrometheusRule of the Prometheus operator; its labels are those that kube-prometheus looks for.
set -euo pipefail
cat <<'TEXT'
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: kraftlet
  labels: {prometheus: k8s, role: alert-rules}
spec:
TEXT
sed 's/^./  &/' "$(dirname "${BASH_SOURCE[0]}")/alerts.yaml"
