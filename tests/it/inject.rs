//! Into the pod: what is added, by patch and by text, and who is refused.
#![allow(clippy::unwrap_used, reason = "a test stops loudly")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kraftlet::cluster::model::Cluster;
use kraftlet::cluster::parse;
use kraftlet::inject::admit;
use kraftlet::inject::admit::Needs;
use kraftlet::inject::judge;
use kraftlet::inject::manifests;
use kraftlet::inject::manifests::Given;
use kraftlet::inject::ours::Means;
use kraftlet::inject::plan;
use kraftlet::inject::plan::Plan;
use kraftlet::inject::plan::Set;
use kraftlet::inject::refusal::Refusal;
use kraftlet::inject::review;
use kraftlet::inject::review::Question;
use kraftlet::inject::yaml::edit;
use kraftlet::inject::yaml::tree;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;
use std::process::Command;
use std::sync::Arc;

const SETTINGS: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: events\n\
    clusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\nkafkaVersion: 4.4.0\npools:\n\
    - {statefulSet: events, roles: [broker, controller], replicas: 3}\n";

const MANIFEST: &str = include_str!("../fixtures/inject/combined.yaml");
const INJECTED: &str = include_str!("../fixtures/inject/combined.injected.yaml");

fn cluster(more: &str) -> Cluster {
    parse::parse("cluster.yaml", format!("{SETTINGS}{more}").as_bytes()).unwrap()
}

fn means() -> Means {
    Means { image: "kraftlet:test".to_owned(), signer_ca: Some("PEM\n".to_owned()) }
}

/// A pod of the StatefulSet `events`, as the API server shows it at admission, its defaults filled in.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "events-0", "labels": {"app": "events"},
            "annotations": {"kraftlet.dev/inject": "true", "kraftlet.dev/cluster": "events"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "events", "uid": "1", "controller": true}
            ]
        },
        "spec": {
            "subdomain": "events", "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            "securityContext": {},
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-events-0"}}],
            "containers": [{
                "name": "kafka", "image": "apache/kafka:4.4.0",
                "volumeMounts": [{"name": "data", "mountPath": "/var/lib/kafka/data"}]
            }]
        }
    })
}

fn manage(pod: &Value, cluster: &Cluster) -> Result<Plan, Refusal> {
    let set = Set { name: "events", service: Some("events"), namespace: Some("prod") };
    plan::manage(pod, set, "events", cluster, &means())
}

/// The API server's way: the patch as JSON, applied by another hand than ours.
fn patched(pod: &Value, plan: &Plan) -> Value {
    let patch: json_patch::Patch =
        serde_json::from_value(serde_json::to_value(&plan.operations).unwrap()).unwrap();
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    patched
}

#[test]
fn a_manifest_is_injected_to_the_byte() {
    let given =
        Given { means: Means { image: "kraftlet:test".to_owned(), signer_ca: None }, ..Given::default() };
    let injected = manifests::inject(MANIFEST, &given).unwrap();
    assert_eq!(injected.text, INJECTED);
    assert_eq!((injected.changed, injected.warnings.as_slice()), (1, [].as_slice()));
    let again = manifests::inject(INJECTED, &given).unwrap();
    assert_eq!((again.text.as_str(), again.changed), (INJECTED, 0));
}

#[test]
fn files_know_of_one_anothers_settings_and_what_is_let_pass_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, set) = MANIFEST.split_once("---\n").unwrap();
    let deployment = set.replace("kind: StatefulSet", "kind: Deployment");
    let anchored = settings.replace("name: events\ndata", "name: &n events\ndata");
    let inject = |files: [&str; 2]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
        command.args(["inject", "--image", "kraftlet:test"]).current_dir(folder.path());
        for (name, text) in ["a.yaml", "b.yaml"].iter().zip(files) {
            std::fs::write(folder.path().join(name), text).unwrap();
            command.args(["-f", name]);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, said) = inject([set, settings]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(INJECTED.ends_with(out.split_once("---\n# The cluster.").unwrap().0));
    let (code, out, said) = inject([&deployment, settings]);
    assert_eq!((code, out), (0, format!("{deployment}---\n{settings}")));
    assert_eq!(
        said,
        "warning: a.yaml: Deployment events: its template asks for kraftlet, which is added to StatefulSets and Pods only; it stays as it is\n"
    );
    let (code, out, said) = inject([&anchored, set]);
    assert_eq!((code, out.as_str()), (64, ""));
    assert!(said.starts_with("warning: a.yaml: a document with cluster.yaml cannot be read, so no settings are taken from it: line 5: anchors are not followed; write the value out\n"), "{said}");
    assert!(
        said.contains(
            "b.yaml: StatefulSet events: there is no ConfigMap events, which should have the settings"
        ),
        "{said}"
    );
}

#[test]
fn a_pod_that_was_patched_needs_nothing_more() {
    for more in [
        "",
        "certificates: {node: {source: {signer: {}}}}\n",
        "certificates: {node: {source: {podCertificate: {}}, lifetime: 1h}}\n",
        "certificates: {node: {source: {secret: {name: tls}}}}\nreload: adminApi\n",
        "certificates: {node: {source: {certManager: {issuer: {name: ca}}}}}\n",
        "certificates: {node: {source: {signer: {}}}}\nagent: {events: true}\n",
    ] {
        let cluster =
            cluster(if more.is_empty() { "certificates: {node: {source: {signer: {}}}}\n" } else { more });
        let first = manage(&pod(), &cluster).unwrap();
        assert!(!first.operations.is_empty());
        let patched = patched(&pod(), &first);
        assert_eq!(manage(&patched, &cluster).unwrap(), Plan::default(), "{more}");
    }
}

#[test]
fn a_token_for_the_api_server_goes_only_to_those_who_ask_it() {
    const SIGNER: &str = "certificates: {node: {source: {signer: {}}}}\n";
    const EVENTS: &str = "certificates: {node: {source: {signer: {}}}}\nagent: {events: true}\n";
    const CERT_MANAGER: &str = "certificates: {node: {source: {certManager: {issuer: {name: ca}}}}}\n";
    for (more, want) in
        [(SIGNER, vec![]), (EVENTS, vec!["kraftlet"]), (CERT_MANAGER, vec!["kraftlet-init", "kraftlet"])]
    {
        let pod = patched(&pod(), &manage(&pod(), &cluster(more)).unwrap());
        let has = |list: &Value| list.as_array().unwrap().iter().any(|one| one["name"] == "kraftlet-api");
        let containers = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array().unwrap());
        let see_it = containers.into_iter().flatten().filter(|one| has(&one["volumeMounts"]));
        let names: Vec<&str> = see_it.map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!((names, has(&pod["spec"]["volumes"])), (want.clone(), !want.is_empty()), "{more}");
    }
}

/// What a manifest's template becomes, and what the pod made of that template becomes, are one thing.
#[test]
fn the_text_and_the_patch_say_the_same() {
    let documents: Vec<Value> = kraftlet::inject::yaml::documents::split(INJECTED)
        .into_iter()
        .filter_map(|text| tree::parse(text).unwrap())
        .map(|node| node.value())
        .collect();
    let set = documents.iter().find(|one| one["kind"] == "StatefulSet").unwrap();
    let before: Vec<Value> = kraftlet::inject::yaml::documents::split(MANIFEST)
        .into_iter()
        .filter_map(|text| tree::parse(text).unwrap())
        .map(|node| node.value())
        .collect();
    let template = &before.iter().find(|one| one["kind"] == "StatefulSet").unwrap()["spec"]["template"];
    let cluster = cluster("certificates: {node: {source: {secret: {name: events-node-tls}}}}\n");
    let means = Means { image: "kraftlet:test".to_owned(), signer_ca: None };
    let owner = Set { name: "events", service: Some("events"), namespace: Some("prod") };
    let plan = plan::manage(template, owner, "events", &cluster, &means).unwrap();
    assert_eq!(patched(template, &plan), set["spec"]["template"]);
}

#[test]
fn what_somebody_wrote_stays_and_is_warned_of() {
    let mut pod = pod();
    pod["spec"]["terminationGracePeriodSeconds"] = json!(900);
    pod["spec"]["securityContext"] = json!({"fsGroup": 5, "runAsUser": 7});
    let container = &mut pod["spec"]["containers"][0];
    container["command"] = json!(["/start", "my.properties"]);
    container["env"] =
        json!([{"name": "CLASSPATH", "value": "/x.jar"}, {"name": "KAFKA_NUM_IO_THREADS", "value": "3"}]);
    container["readinessProbe"] = json!({"tcpSocket": {"port": 9092}});
    container["livenessProbe"] = json!({"tcpSocket": {"port": 9092}});
    container["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 1}}});
    let cluster = cluster("certificates: {node: {source: {signer: {}}}}\n");
    let plan = manage(&pod, &cluster).unwrap();
    let patched = patched(&pod, &plan);
    let found = &patched["spec"]["containers"][0];
    for key in ["command", "readinessProbe", "livenessProbe", "lifecycle"] {
        assert_eq!(found[key], pod["spec"]["containers"][0][key]);
    }
    assert_eq!(found["env"][0]["value"], "/run/kraftlet/engine/ssl-engine.jar:/x.jar");
    assert_eq!(patched["spec"]["terminationGracePeriodSeconds"], 900);
    assert_eq!(patched["spec"]["securityContext"], json!({"fsGroup": 5, "runAsUser": 7}));
    let init = &patched["spec"]["initContainers"][0];
    assert_eq!(init["securityContext"]["runAsUser"], 7);
    assert!(init["env"].as_array().unwrap().contains(&json!({"name": "KAFKA_NUM_IO_THREADS", "value": "3"})));
    assert_eq!(plan.warnings.len(), 4, "{:?}", plan.warnings);
}

#[test]
fn a_property_brings_along_the_variables_that_it_is_made_of() {
    let mut pod = pod();
    let password = json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
    let jaas = json!({"name": "KAFKA_SASL_JAAS_CONFIG", "value": "x password=$(PASSWORD) on=$(POD_NAME);"});
    let own = json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    pod["spec"]["containers"][0]["env"] = json!([own, password, {"name": "OTHER", "value": "1"}, jaas]);
    let plan = manage(&pod, &cluster("certificates: {node: {source: {signer: {}}}}\n")).unwrap();
    let patched = patched(&pod, &plan);
    for ours in patched["spec"]["initContainers"].as_array().unwrap() {
        let env = ours["env"].as_array().unwrap();
        let of = |name: &str| env.iter().filter(|one| one["name"] == name).count();
        assert_eq!((of("POD_NAME"), of("OTHER")), (1, 0));
        assert_eq!(env.iter().rev().take(2).collect::<Vec<_>>(), [&jaas, &password]);
    }
}

#[test]
fn a_guaranteed_pod_stays_one() {
    let check = |resources: Value, want: Value| {
        let mut pod = pod();
        pod["spec"]["containers"][0]["resources"] = resources;
        let patched =
            patched(&pod, &manage(&pod, &cluster("certificates: {node: {source: {signer: {}}}}\n")).unwrap());
        for ours in patched["spec"]["initContainers"].as_array().unwrap() {
            assert_eq!(ours["resources"], want);
        }
    };
    let burstable = json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}});
    let ours = json!({"cpu": "250m", "memory": "64Mi"});
    let guaranteed = json!({"requests": ours, "limits": ours});
    let (two, three) = (json!({"cpu": "2", "memory": "8Gi"}), json!({"cpu": "3", "memory": "8Gi"}));
    check(json!({"requests": two, "limits": two}), guaranteed.clone());
    check(json!({"limits": two}), guaranteed);
    check(json!({"requests": two, "limits": three}), burstable.clone());
    check(json!({"requests": two, "limits": {"memory": "8Gi"}}), burstable.clone());
    check(json!({}), burstable);
}

#[test]
fn who_cannot_have_it_is_told_why() {
    let good = cluster("certificates: {node: {source: {signer: {}}}}\n");
    let check = |change: &dyn Fn(&mut Value), reason: &str, message: &str| {
        let mut pod = pod();
        change(&mut pod);
        let refusal = manage(&pod, &good).unwrap_err();
        assert_eq!((refusal.reason(), refusal.to_string().as_str()), (reason, message));
    };
    check(
        &|pod| pod["spec"]["containers"][0]["image"] = json!("mine/kafka"),
        "ImageUnknown",
        "container kafka: the image \"mine/kafka\" is not known, nor its user; give the container a `runAsUser`, or say by the annotation kraftlet.dev/image-profile how the image is made",
    );
    check(
        &|pod| pod["spec"]["containers"][0]["image"] = json!("apache/kafka-native:4.4.0"),
        "ImageUnknown",
        "container kafka: the image \"apache/kafka-native:4.4.0\" is not known, nor its user; give the container a `runAsUser`, or say by the annotation kraftlet.dev/image-profile how the image is made",
    );
    check(
        &|pod| pod["spec"]["containers"][0]["volumeMounts"] = json!([]),
        "MountMissing",
        "container kafka mounts no volume that holds /var/lib/kafka/data/log, where the settings have Kafka keep its logs; want a disk of its own there",
    );
    check(
        &|pod| {
            pod["spec"]["containers"][0]["env"] = json!([
                {"name": "KAFKA_NODE_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "KAFKA_LOG_DIRS", "value": "/x"},
                {"name": "KAFKA_PORT", "value": "tcp://10.96.0.7:9092"}
            ]);
        },
        "PropertiesInvalid",
        "container kafka: KAFKA_LOG_DIRS: `log.dirs` cannot be set here; its value comes from `storage`; KAFKA_NODE_ID: `node.id` cannot be set here; its value comes from `pools[].nodeIds` and the pod's ordinal",
    );
    check(
        &|pod| pod["spec"]["containers"] = json!([{"name": "a"}, {"name": "b"}]),
        "ContainerUnknown",
        "no container is called \"kafka\", there are [\"a\", \"b\"]; name Kafka's with the annotation kraftlet.dev/container",
    );
    check(
        &|pod| pod["spec"]["securityContext"] = json!({"runAsUser": 0}),
        "RunsAsRoot",
        "container kafka runs as root; want a `runAsUser` above 0",
    );
    check(
        &|pod| pod["metadata"]["annotations"]["kraftlet.dev/image-profile"] = json!("strimzi"),
        "AnnotationInvalid",
        "annotation kraftlet.dev/image-profile: \"strimzi\"; want one of apache, confluent, bitnami, kubedb",
    );
    check(
        &|pod| pod["metadata"]["labels"]["kraftlet.dev/cluster"] = json!("orders"),
        "LabelDiffers",
        "label kraftlet.dev/cluster is \"orders\", and the cluster is called \"events\"; want the same, or no such label",
    );
    check(
        &|pod| pod["spec"]["containers"] = json!(["kafka"]),
        "ContainerUnknown",
        "no container is called \"kafka\", there are []; name Kafka's with the annotation kraftlet.dev/container",
    );
    let set = Set { name: "events", service: Some("other"), namespace: None };
    let refusal = plan::manage(&pod(), set, "events", &good, &means()).unwrap_err();
    assert_eq!(refusal.reason(), "OtherService");
    let set = Set { name: "other", service: Some("events"), namespace: None };
    assert_eq!(
        plan::manage(&pod(), set, "events", &good, &means()).unwrap_err().reason(),
        "UnknownStatefulSet"
    );
}

#[test]
fn an_attached_pod_gets_the_sidecar_alone() {
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({
        "kraftlet.dev/inject": "true", "kraftlet.dev/mode": "attach", "kraftlet.dev/kafka-version": "4.4.0",
        "kraftlet.dev/server-properties": "/opt/kafka/config/kafka.properties"
    });
    let question = question("pods", &pod, &Value::Null);
    assert_eq!(admit::needs(&question).unwrap(), Needs::Means);
    let plan = admit::attach(&question, &means()).unwrap();
    let patched = patched(&pod, &plan);
    assert_eq!(patched["spec"]["containers"][0].get("command"), None);
    let added = patched["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(added.len(), 1);
    assert_eq!(added[0]["args"], json!(["sidecar"]));
    assert!(
        added[0]["volumeMounts"].as_array().unwrap().iter().skip(1).all(|mount| mount["readOnly"] == true)
    );
    let again = Question { object: patched, ..question };
    assert_eq!(admit::attach(&again, &means()).unwrap(), Plan::default());
}

#[test]
fn containers_that_others_add_change_nothing() {
    let proxy = json!({"name": "proxy", "image": "example/proxy:1"});
    let mut managed = pod();
    managed["spec"]["containers"][0]["name"] = json!("broker");
    managed["spec"]["securityContext"] = json!({"runAsUser": 7});
    managed["spec"]["containers"][0]["command"] = json!(["x", "/run/kraftlet/server.properties"]);
    let mut attached = managed.clone();
    attached["metadata"]["annotations"] = json!({
        "kraftlet.dev/inject": "true", "kraftlet.dev/mode": "attach",
        "kraftlet.dev/server-properties": "/opt/kafka/config/kafka.properties"
    });
    let good = Arc::new(cluster("certificates: {node: {source: {signer: {}}}}\n"));
    let asked = |pod: &Value| {
        let question = question("pods", pod, &Value::Null);
        match admit::needs(&question).unwrap() {
            Needs::Means => admit::attach(&question, &means()),
            _ => admit::decide(&question, "events", Ok(Arc::clone(&good)), &means()),
        }
    };
    for image in ["apache/kafka:4.4.0", "example/broker:1"] {
        for pod in [&managed, &attached] {
            let mut pod = pod.clone();
            pod["spec"]["containers"][0]["image"] = json!(image);
            let mut patched = patched(&pod, &asked(&pod).unwrap());
            patched["spec"]["containers"].as_array_mut().unwrap().insert(0, proxy.clone());
            assert_eq!(asked(&patched).unwrap(), Plan::default(), "{image}");
            // The other one was there before us.
            pod["spec"]["containers"].as_array_mut().unwrap().insert(0, proxy.clone());
            assert_eq!(asked(&pod).is_ok(), image != "example/broker:1");
        }
    }
    let set = |pod: &Value| {
        let template = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
        let spec = json!({"replicas": 3, "serviceName": "events", "podManagementPolicy": "Parallel", "template": template});
        json!({"metadata": {"name": "events"}, "spec": spec})
    };
    let doubt = "container broker is taken for Kafka's because there is no other; where webhooks add containers to pods, name it with the annotation kraftlet.dev/container";
    for mut pod in [managed, attached] {
        assert_eq!(judged(&set(&pod), &good), [] as [String; 0]);
        pod["spec"]["containers"][0]["image"] = json!("example/broker:1");
        assert_eq!(judged(&set(&pod), &good), [doubt]);
    }
}

/// What is said when a StatefulSet is made.
fn judged(set: &Value, cluster: &Arc<Cluster>) -> Vec<String> {
    let question = question("statefulsets", set, &Value::Null);
    let plan = match admit::needs(&question).unwrap() {
        Needs::Means => admit::attach(&question, &means()),
        _ => admit::decide(&question, "events", Ok(Arc::clone(cluster)), &means()),
    };
    plan.unwrap().warnings
}

fn question(resource: &str, object: &Value, old: &Value) -> Question {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "resource": {"group": "", "version": "v1", "resource": resource}, "namespace": "prod",
            "operation": "CREATE", "object": object, "oldObject": old
        }
    });
    review::parse(review.to_string().as_bytes()).unwrap()
}

fn config_map(yaml: &str) -> Value {
    json!({"metadata": {"name": "events"}, "data": {"cluster.yaml": yaml}})
}

#[test]
fn settings_are_judged_when_they_are_applied() {
    let check = |now: &str, before: Option<&str>, want: Result<(), &str>| {
        let old = before.map_or(Value::Null, config_map);
        let found = admit::needs(&question("configmaps", &config_map(now), &old));
        let found = found.map(|needs| assert_eq!(needs, Needs::Nothing(Plan::default())));
        assert_eq!(found.map_err(|refusal| refusal.to_string()), want.map_err(str::to_owned));
    };
    check(SETTINGS, None, Ok(()));
    check(SETTINGS, Some(SETTINGS), Ok(()));
    check(SETTINGS, Some("broken"), Ok(()));
    let other = SETTINGS.replace("Xk3vXo2uTwq9ZQbn0eM1Jw", "AAAAXo2uTwq9ZQbn0eM1Jw");
    check(
        &other,
        Some(SETTINGS),
        Err(
            "the cluster id was Xk3vXo2uTwq9ZQbn0eM1Jw and would be AAAAXo2uTwq9ZQbn0eM1Jw; it is written on every disk and can never change",
        ),
    );
    let moved = SETTINGS.replace("replicas: 3", "replicas: 3, nodeIds: {first: 10}");
    check(
        &moved,
        Some(SETTINGS),
        Err("pool events: the first node id was 0 and would be 10; node ids are written on the disks"),
    );
    let refusal = admit::needs(&question("configmaps", &config_map("name: x\n"), &Value::Null)).unwrap_err();
    assert!(refusal.to_string().starts_with("ConfigMap events, cluster.yaml:1:1"), "{refusal}");
}

#[test]
fn a_stateful_set_is_judged_when_it_is_applied() {
    let set = |replicas: u32| {
        json!({
            "metadata": {"name": "events"},
            "spec": {
                "replicas": replicas, "serviceName": "events", "podManagementPolicy": "Parallel",
                "template": {"metadata": pod()["metadata"], "spec": pod()["spec"]}
            }
        })
    };
    let good: Arc<Cluster> = Arc::new(cluster("certificates: {node: {source: {signer: {}}}}\n"));
    let judge = |set: &Value| {
        let question = question("statefulsets", set, &Value::Null);
        assert_eq!(admit::needs(&question).unwrap(), Needs::Settings("events".to_owned()));
        admit::decide(&question, "events", Ok(Arc::clone(&good)), &means())
    };
    assert_eq!(judge(&set(3)), Ok(Plan::default()));
    assert_eq!(judge(&set(1)).unwrap().warnings.len(), 1);
    assert_eq!(judge(&set(4)).unwrap_err().reason(), "ReplicasDiffer");
    let mut ordered = set(3);
    ordered["spec"]["podManagementPolicy"] = json!("OrderedReady");
    assert_eq!(judge(&ordered).unwrap().warnings.len(), 1);
    let question = question("statefulsets", &set(3), &Value::Null);
    let early = admit::decide(&question, "events", Err(admit::no_settings("prod", "events")), &means());
    assert_eq!(
        early.unwrap().warnings,
        ["there is no ConfigMap events in namespace prod, which should have the settings"]
    );
    let changed = self::question("statefulsets", &set(3), &set(3));
    let late = admit::decide(&changed, "events", Err(admit::no_settings("prod", "events")), &means());
    assert_eq!(late.unwrap_err().reason(), "SettingsMissing");
    // A dry run keeps no settings, and who asks for the first time may be before them in the same folder.
    let missing = || Err(admit::no_settings("prod", "events"));
    let dry = Question { dry_run: true, ..changed };
    assert_eq!(admit::decide(&dry, "events", missing(), &means()).unwrap().warnings.len(), 1);
    let mut plain = set(3);
    plain["spec"]["template"]["metadata"]["annotations"] = json!({});
    let first = self::question("statefulsets", &set(3), &plain);
    assert_eq!(admit::decide(&first, "events", missing(), &means()).unwrap().warnings.len(), 1);
    let without_key = judge::settings(&json!({"metadata": {"name": "events"}, "data": {"a": "b"}}));
    let wrong = admit::decide(&question, "events", without_key.map(Arc::new), &means()).unwrap_err();
    assert_eq!(
        (wrong.reason(), wrong.to_string().as_str()),
        ("SettingsKeyMissing", "ConfigMap events has no key cluster.yaml; want the settings there")
    );
    // The signer may come with the next command; pods are refused until then.
    let without = Means { signer_ca: None, ..means() };
    let decide = |question| admit::decide(question, "events", Ok(Arc::clone(&good)), &without);
    assert_eq!(
        decide(&question).unwrap().warnings,
        ["pods wait for the signer, whose CA is not known yet; is it installed?"]
    );
    let mut member = pod();
    member["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "events", "controller": true}]);
    member["spec"]["subdomain"] = json!("events");
    assert_eq!(decide(&self::question("pods", &member, &Value::Null)).unwrap_err().reason(), "SignerUnknown");
}

#[test]
fn an_answer_is_what_the_api_server_reads() {
    let answer = |outcome: &Result<Plan, Refusal>| -> Value {
        serde_json::from_slice(&review::answer("u-1", outcome)).unwrap()
    };
    let good = cluster("certificates: {node: {source: {signer: {}}}}\n");
    let plan = manage(&pod(), &good).unwrap();
    let said = answer(&Ok(plan.clone()));
    assert_eq!((&said["kind"], &said["response"]["uid"]), (&json!("AdmissionReview"), &json!("u-1")));
    assert_eq!(said["response"]["patchType"], "JSONPatch");
    let patch = STANDARD.decode(said["response"]["patch"].as_str().unwrap()).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&patch).unwrap(),
        serde_json::to_value(&plan.operations).unwrap()
    );
    let said = answer(&Ok(Plan::default()));
    assert_eq!(said["response"], json!({"uid": "u-1", "allowed": true}));
    let said = answer(&Err(Refusal::new("Word", "a sentence")));
    assert_eq!(
        said["response"],
        json!({"uid": "u-1", "allowed": false,
               "status": {"code": 422, "reason": "Word", "message": "kraftlet: a sentence"}})
    );
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        b"{\"apiVersion\":\"admission.k8s.io/v1beta1\",\"request\":{\"uid\":\"\",\"resource\":{}}}",
    ] {
        assert!(review::parse(bytes).is_err());
    }
}

proptest! {
    /// Nothing that a pod says can panic us, and what was added is never added again.
    #[test]
    fn any_pod_is_answered(spec in any_json(), name in "[a-z]{1,8}") {
        let mut pod = pod();
        pod["spec"]["containers"][0][&name] = spec.clone();
        pod["spec"][&name] = spec;
        let good = cluster("certificates: {node: {source: {signer: {}}}}\n");
        if let Ok(plan) = manage(&pod, &good) {
            let patched = patched(&pod, &plan);
            prop_assert_eq!(manage(&patched, &good).map(|plan| plan.operations), Ok(Vec::new()));
            // The same, done to text.
            let mut text = String::from("---\n");
            for (key, value) in pod.as_object().unwrap() {
                kraftlet::inject::yaml::write::entry(&mut text, 0, key, value);
            }
            let text = edit::apply(&text, "", &plan.operations).unwrap();
            prop_assert_eq!(tree::parse(&text).unwrap().unwrap().value(), patched, "{}", text);
        }
    }

    /// A manifest is read as it was written, whatever is in it.
    #[test]
    fn a_written_value_is_read_again(value in any_json()) {
        let mut text = String::new();
        kraftlet::inject::yaml::write::entry(&mut text, 0, "key", &value);
        let read = tree::parse(&text).unwrap().unwrap().value();
        prop_assert_eq!(&read["key"], &value, "{}", text);
    }

    /// Text that is not YAML is refused, not panicked over.
    #[test]
    fn any_text_is_read_or_refused(text in "[ a-c:{}\\[\\],\\-\\n#&*!|>'\"0-9\\x00-\\x1f]{0,60}") {
        let _ = tree::parse(&text);
        let _ = manifests::inject(&text, &Given::default());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~\\n]{0,12}".prop_map(Value::from),
        "(yes|no|true|null|~|0x1f|1e3|.inf|-|---|#|: |a: b|\u{e9})".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z/.~ ]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
