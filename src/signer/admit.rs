//! Who asks, and whether it is a pod of a cluster of ours: nothing is believed that the API server has not said.
//!
//! The border of trust is the namespace. Whoever may make pods, StatefulSets and ConfigMaps in one can have any name in
//! a certificate of that namespace's CAs, and in none of another's. Inside it, a pod gets the names that the settings
//! give to a pod of its name, and no other pod's.

use std::net::IpAddr;

use crate::inject::words;
use crate::pod::name::PodName;
use crate::signer::objects::Object;
use crate::signer::objects::Pod;
use crate::signer::objects::TokenStatus;
use crate::signer::refusal::Refusal;

/// What is said of the pod that asks, by its token or by the kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The pod.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The machine; not said in tokens before Kubernetes 1.30.
    pub machine: Option<String>,
}

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

impl Claim {
    /// What a reviewed token says.
    pub fn of_token(status: &TokenStatus, audience: &str) -> Result<Self, Refusal> {
        if !status.authenticated {
            let mut error = status.error.clone();
            error.truncate(error.floor_char_boundary(256));
            return Err(Refusal::NotAuthenticated { error });
        }
        // An authenticator that knows nothing of audiences names none, and would take a token for any.
        if status.audiences.iter().all(|one| one != audience) {
            return Err(Refusal::NotAuthenticated { error: "it is for another audience".to_owned() });
        }
        let user = &status.user;
        let fact = |name: &str| match user.extra.get(name).map(Vec::as_slice) {
            Some([one]) if !one.is_empty() => Some(one.clone()),
            _ => None,
        };
        let names_no_pod = || {
            let username = user.username.chars().take(128).collect();
            Refusal::NoPodInToken { username }
        };
        let account = user.username.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'));
        let (namespace, service_account) = account.ok_or_else(names_no_pod)?;
        Ok(Self {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            pod: fact("authentication.kubernetes.io/pod-name").ok_or_else(names_no_pod)?,
            uid: fact("authentication.kubernetes.io/pod-uid").ok_or_else(names_no_pod)?,
            machine: fact("authentication.kubernetes.io/node-name"),
        })
    }

    /// That there is no such pod.
    pub fn gone(&self) -> Refusal {
        let Self { namespace, pod, uid, .. } = self;
        Refusal::PodGone { namespace: namespace.clone(), pod: pod.clone(), uid: uid.clone() }
    }
}

/// Checks what is claimed against the pod, and gives the StatefulSet that is to be read next.
pub fn owner_of<'a>(claim: &Claim, pod: &'a Pod) -> Result<&'a str, Refusal> {
    if pod.metadata.uid != claim.uid || pod.metadata.uid.is_empty() {
        return Err(claim.gone());
    }
    let differs = |what, claimed: &str, found: &str| {
        let (claimed, found) = (claimed.to_owned(), found.to_owned());
        Err(Refusal::PodDiffers { what, claimed, found })
    };
    if let Some(machine) = claim.machine.as_ref().filter(|machine| **machine != pod.spec.node_name) {
        return differs("machine", machine, &pod.spec.node_name);
    }
    if pod.spec.service_account_name != claim.service_account {
        return differs("service account", &claim.service_account, &pod.spec.service_account_name);
    }
    if pod.metadata.deletion_timestamp.is_some()
        || matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")
    {
        return Err(Refusal::PodEnds);
    }
    pod.metadata.stateful_set().map(|owner| owner.name.as_str()).ok_or(Refusal::NoStatefulSet)
}

/// Checks the pod against the StatefulSet that it names, and gives its name in parts and the ConfigMap with the settings.
pub fn settings_of<'a>(pod: &'a Pod, stateful_set: &Object) -> Result<(PodName, &'a str), Refusal> {
    let owner = pod.metadata.stateful_set().ok_or(Refusal::NoStatefulSet)?;
    let found = &stateful_set.metadata;
    if found.uid.is_empty() || found.uid != owner.uid || found.name != owner.name {
        return Err(Refusal::NoStatefulSet);
    }
    let name: Option<PodName> = pod.metadata.name.parse().ok();
    let name = name.filter(|name| name.stateful_set() == owner.name).ok_or_else(|| Refusal::NotItsName {
        pod: pod.metadata.name.clone(),
        stateful_set: owner.name.clone(),
    })?;
    let annotation = |name| pod.metadata.annotations.get(name).map(String::as_str);
    if annotation(words::INJECT) != Some("true") {
        return Err(Refusal::NotInjected { annotation: "kraftlet.dev/inject: \"true\"" });
    }
    match annotation(words::CLUSTER) {
        Some(config_map) if !config_map.is_empty() => Ok((name, config_map)),
        _ => Err(Refusal::NotInjected { annotation: words::CLUSTER }),
    }
}

/// Checks that a request which came from `from` is the pod's own: a token that was taken along is of no use elsewhere.
///
/// Not for pods in their machine's network, who leave it by any of the machine's addresses.
pub fn is_at_home(pod: &Pod, from: IpAddr) -> Result<(), Refusal> {
    if pod.spec.host_network {
        return Ok(());
    }
    let all = pod.status.pod_ips.iter().map(|one| &one.ip).chain([&pod.status.pod_ip]);
    let mut known = all.filter_map(|ip| ip.parse::<IpAddr>().ok()).peekable();
    // The kubelet says it within the pod's first second.
    if known.peek().is_none() {
        return Err(Refusal::NoAddress);
    }
    if known.any(|ip| ip.to_canonical() == from) { Ok(()) } else { Err(Refusal::OtherAddress { from }) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn token() -> Value {
        json!({
            "authenticated": true,
            "audiences": ["kraftlet-signer"],
            "user": {"username": "system:serviceaccount:prod:kafka", "extra": {
                "authentication.kubernetes.io/pod-name": ["kafka-0"],
                "authentication.kubernetes.io/pod-uid": ["u-1"],
                "authentication.kubernetes.io/node-name": ["machine-1"],
            }},
        })
    }

    fn pod() -> Value {
        json!({
            "metadata": {
                "name": "kafka-0", "namespace": "prod", "uid": "u-1",
                "annotations": {"kraftlet.dev/inject": "true", "kraftlet.dev/cluster": "events"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "kafka", "uid": "s-1", "controller": true}],
            },
            "spec": {"nodeName": "machine-1", "serviceAccountName": "kafka"},
            "status": {"phase": "Pending"},
        })
    }

    /// The reason, once `change` has been made to the token, the pod or the StatefulSet.
    fn judged(change: impl Fn(&mut Value, &mut Value, &mut Value)) -> &'static str {
        let (mut token, mut pod) = (token(), pod());
        let mut stateful_set = json!({"metadata": {"name": "kafka", "uid": "s-1"}});
        change(&mut token, &mut pod, &mut stateful_set);
        let judge = || {
            let status: TokenStatus = serde_json::from_value(token).unwrap();
            let claim = Claim::of_token(&status, "kraftlet-signer")?;
            assert_eq!((claim.namespace.as_str(), claim.pod.as_str()), ("prod", "kafka-0"));
            let pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(owner_of(&claim, &pod)?, "kafka");
            settings_of(&pod, &serde_json::from_value(stateful_set).unwrap())
                .map(|(name, config_map)| assert_eq!((name.ordinal().number(), config_map), (0, "events")))
        };
        judge().map_or_else(|refusal: Refusal| refusal.reason(), |()| "Admitted")
    }

    #[test]
    fn a_pod_that_is_what_its_token_says_is_admitted_and_no_other() {
        assert_eq!(judged(|_, _, _| {}), "Admitted");
        let extra = "/user/extra/authentication.kubernetes.io~1";
        let at = |part: &str| format!("{extra}{part}");
        let check = |path: &str, value: Value, want: &str| {
            let found = judged(|token, pod, stateful_set| {
                let (object, pointer) = path.split_at(1);
                let object = match object {
                    "t" => token,
                    "p" => pod,
                    _ => stateful_set,
                };
                *object.pointer_mut(pointer).unwrap() = value.clone();
            });
            assert_eq!(found, want, "{path} {value}");
        };
        check("t/authenticated", json!(false), "TokenRefused");
        check("t/audiences", json!([]), "TokenRefused");
        check("t/audiences", json!(["https://kubernetes.default.svc"]), "TokenRefused");
        check("t/user/username", json!("system:admin"), "TokenWithoutPod");
        check("t/user/extra", json!({}), "TokenWithoutPod");
        check(&format!("t{}", at("pod-uid")), json!(["u-1", "u-2"]), "TokenWithoutPod");
        check(&format!("t{}", at("pod-uid")), json!(["u-2"]), "PodUnknown");
        check(&format!("t{}", at("node-name")), json!(["machine-2"]), "PodDiffers");
        check(&format!("t{}", at("node-name")), json!([]), "Admitted");
        check("t/user/username", json!("system:serviceaccount:prod:other"), "PodDiffers");
        check("p/metadata/uid", json!(""), "PodUnknown");
        check("p/metadata/ownerReferences", json!([]), "PodWithoutStatefulSet");
        check("p/metadata/ownerReferences/0/controller", json!(false), "PodWithoutStatefulSet");
        check("p/metadata/ownerReferences/0/kind", json!("ReplicaSet"), "PodWithoutStatefulSet");
        check("p/metadata/ownerReferences/0/uid", json!("s-2"), "PodWithoutStatefulSet");
        check("p/metadata/name", json!("zookeeper-0"), "PodNameForeign");
        check("p/metadata/name", json!("kafka-00"), "PodNameForeign");
        check("p/metadata/annotations", json!({}), "PodNotInjected");
        check("p/metadata/annotations/kraftlet.dev~1cluster", json!(""), "PodNotInjected");
        check("p/status/phase", json!("Failed"), "PodEnds");
        check("s/metadata/uid", json!("s-2"), "PodWithoutStatefulSet");
        let ends = |_: &mut Value, pod: &mut Value, _: &mut Value| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
        };
        assert_eq!(judged(ends), "PodEnds");
    }

    #[test]
    fn a_token_is_good_at_the_address_of_its_pod_alone() {
        let check = |spec: Value, status: Value, want: &str| {
            let pod: Pod = serde_json::from_value(json!({"spec": spec, "status": status})).unwrap();
            let found = is_at_home(&pod, "10.1.2.3".parse().unwrap());
            assert_eq!(found.map_or_else(|refusal| refusal.reason(), |()| "AtHome"), want, "{status}");
        };
        check(json!({}), json!({"podIP": "10.1.2.3"}), "AtHome");
        check(
            json!({}),
            json!({"podIP": "fd00::1", "podIPs": [{"ip": "fd00::1"}, {"ip": "10.1.2.3"}]}),
            "AtHome",
        );
        check(json!({}), json!({"podIP": "10.1.2.4", "podIPs": [{"ip": "10.1.2.4"}]}), "CallerAddressOther");
        check(json!({}), json!({}), "PodAddressUnknown");
        check(json!({"hostNetwork": true}), json!({"podIP": "10.1.2.4"}), "AtHome");
    }
}
