//! A review of whatever bytes: an answer, never a panic; and what is added to a pod is never added again.
#![no_main]

use std::sync::Arc;
use std::sync::LazyLock;

use kraftlet::cluster::model::Cluster;
use kraftlet::cluster::parse;
use kraftlet::inject::admit;
use kraftlet::inject::admit::Needs;
use kraftlet::inject::draft;
use kraftlet::inject::manifests;
use kraftlet::inject::manifests::Given;
use kraftlet::inject::ours::Means;
use kraftlet::inject::plan::Plan;
use kraftlet::inject::refusal::Refusal;
use kraftlet::inject::review;
use kraftlet::inject::review::Question;
use libfuzzer_sys::fuzz_target;

const SETTINGS: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: events\n\
    clusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\nkafkaVersion: 4.4.0\npools:\n\
    - {statefulSet: events, roles: [broker, controller], replicas: 3}\n\
    certificates: {node: {source: {signer: {}}}}\n";

static CLUSTER: LazyLock<Arc<Cluster>> =
    LazyLock::new(|| Arc::new(parse::parse("cluster.yaml", SETTINGS.as_bytes()).expect("they are good")));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = manifests::inject(text, &Given::default());
    }
    let Ok(question) = review::parse(bytes) else { return };
    let outcome = decided(&question);
    let _ = review::answer(&question.uid, &outcome);
    let Ok(plan) = outcome else { return };
    let mut patched = question;
    draft::apply(&mut patched.object, "", &plan.operations).expect("a patch is fit for its pod");
    if let Ok(again) = decided(&patched) {
        assert!(again.operations.is_empty(), "added again: {:?}", again.operations);
    }
});

fn decided(question: &Question) -> Result<Plan, Refusal> {
    let means = Means { image: "kraftlet".to_owned(), signer_ca: Some("PEM".to_owned()) };
    match admit::needs(question)? {
        Needs::Nothing(plan) => Ok(plan),
        Needs::Means => admit::attach(question, &means),
        Needs::Settings(name) => admit::decide(question, &name, Ok(Arc::clone(&CLUSTER)), &means),
    }
}
