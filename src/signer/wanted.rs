//! What the settings say of one pod's certificate.

use std::net::IpAddr;

use crate::certificates::request::Request;
use crate::cluster::model::Cluster;
use crate::cluster::source::Source;
use crate::pki::csr::BareRequest;
use crate::pki::renew_point::RenewPoint;
use crate::pod::facts::PodFacts;
use crate::pod::name::PodName;
use crate::signer::objects::Pod;
use crate::signer::refusal::Refusal;

/// The way a request came, which has to be the one that the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// From the pod itself.
    Signer,
    /// From the pod's kubelet, asking this signer.
    PodCertificate(&'a str),
}

/// A certificate as the settings want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Names, kind of key, lifetime.
    pub request: Request,
    /// When it is to be renewed.
    pub renew_point: RenewPoint,
}

/// What the settings say of the certificate called `certificate` of this pod.
pub fn wanted(
    cluster: &Cluster,
    pod: &Pod,
    name: &PodName,
    certificate: &str,
    way: Way<'_>,
) -> Result<Wanted, Refusal> {
    let called = || certificate.chars().take(63).collect::<String>();
    let found =
        cluster.certificates.get(certificate).ok_or_else(|| Refusal::NoCertificate { name: called() })?;
    let (is_ours, want) = match way {
        Way::Signer => (matches!(found.source, Source::Signer(_)), "signer"),
        Way::PodCertificate(ours) => {
            let is_ours = matches!(&found.source, Source::PodCertificate(name) if name == ours);
            (is_ours, "podCertificate, and of this signer")
        }
    };
    if !is_ours {
        return Err(Refusal::OtherSource { name: called(), want });
    }
    let facts = PodFacts {
        name: name.clone(),
        namespace: Some(pod.metadata.namespace.clone()),
        ip: pod.status.pod_ip.parse::<IpAddr>().ok(),
        node_name: Some(pod.spec.node_name.clone()).filter(|name| !name.is_empty()),
        zone: None,
    };
    let node = cluster.node(&facts).map_err(Refusal::NotANode)?;
    let request = Request::of_node(cluster, &node, found).map_err(Refusal::Names)?;
    Ok(Wanted { request, renew_point: found.renew_point })
}

/// That the key is of the kind that the settings say.
pub fn check_key(wanted: &Wanted, csr: &BareRequest) -> Result<(), Refusal> {
    let want = wanted.request.key_algorithm();
    if *csr.kind() == want.kind() {
        return Ok(());
    }
    Err(Refusal::KeyKind { found: csr.kind().clone(), want })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::parse;
    use crate::pki::csr;
    use crate::pki::io::generate;
    use crate::pki::key_kind::KeyAlgorithm;

    const SETTINGS: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: events\n\
        clusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\nkafkaVersion: 4.4.0\n\
        pools:\n- {statefulSet: kafka, roles: [broker, controller], replicas: 3}\n\
        certificates:\n  node: {source: {signer: {}}, names: ['{podIp}']}\n  web: {source: {podCertificate: {}}}\n";

    fn cluster() -> Cluster {
        parse::parse("cluster.yaml", SETTINGS.as_bytes()).unwrap()
    }

    fn pod(name: &str, ip: &str) -> (Pod, PodName) {
        let mut pod = Pod::default();
        pod.metadata.name = name.to_owned();
        pod.metadata.namespace = "prod".to_owned();
        pod.status.pod_ip = ip.to_owned();
        (pod, name.parse().unwrap())
    }

    #[test]
    fn names_follow_from_the_settings_and_the_pod() {
        let (pod, name) = pod("kafka-2", "10.1.2.3");
        let found = wanted(&cluster(), &pod, &name, "node", Way::Signer).unwrap();
        let hosts: Vec<String> = found.request.hosts().iter().map(ToString::to_string).collect();
        assert_eq!(found.request.common_name(), "events-node");
        assert_eq!(hosts, ["kafka-2.events.prod.svc.cluster.local", "10.1.2.3"]);
    }

    #[test]
    fn what_the_settings_do_not_say_is_refused() {
        let check = |pod_name: &str, ip: &str, certificate: &str, way, want: &str| {
            let (pod, name) = pod(pod_name, ip);
            let refusal = wanted(&cluster(), &pod, &name, certificate, way).unwrap_err();
            assert_eq!(refusal.reason(), want, "{refusal}");
        };
        let ours = Way::PodCertificate("kraftlet.dev/kafka-node");
        check("kafka-0", "", "node", Way::Signer, "TemplateUnusable");
        check("kafka-3", "10.1.2.3", "node", Way::Signer, "NotAVoter");
        check("kafka-5000", "10.1.2.3", "node", Way::Signer, "OrdinalOutOfRange");
        check("other-0", "10.1.2.3", "node", Way::Signer, "UnknownStatefulSet");
        check("kafka-0", "10.1.2.3", "client", Way::Signer, "CertificateUnknown");
        check("kafka-0", "10.1.2.3", "web", Way::Signer, "OtherSource");
        check("kafka-0", "10.1.2.3", "node", ours, "OtherSource");
        check("kafka-0", "", "web", Way::PodCertificate("example.com/x"), "OtherSource");
        let (pod, name) = pod("kafka-0", "");
        wanted(&cluster(), &pod, &name, "web", ours).unwrap();
    }

    #[test]
    fn the_key_is_of_the_kind_that_the_settings_say() {
        let (pod, name) = pod("kafka-0", "10.1.2.3");
        let found = wanted(&cluster(), &pod, &name, "node", Way::Signer).unwrap();
        let check = |algorithm| {
            let key = generate(algorithm).unwrap();
            let request = BareRequest::from_pem(csr::bare(&key).unwrap().as_bytes()).unwrap();
            check_key(&found, &request).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(check(KeyAlgorithm::EcdsaP256), Ok(()));
        let want = "the key is ECDSA on P-384; the settings want ecdsa-p256";
        assert_eq!(check(KeyAlgorithm::EcdsaP384), Err(want.to_owned()));
    }
}
