//! Where a certificate comes from: as it is written, and checked.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::cluster::template::Template;
use crate::pod::name::is_dns_name;

/// Where certificates come from: exactly one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Source")]
pub struct Written {
    /// A folder with tls.crt, tls.key and ca.crt, as cert-manager and KubeDB mount it.
    #[serde(default)]
    pub mounted: Option<Folder>,
    /// The same in a Secret, which injection mounts at `/etc/kraftlet/certificates/<certificate>`.
    #[serde(default)]
    pub secret: Option<SecretName>,
    /// kraftlet's signer; the key is made in the pod and never leaves it.
    #[serde(default)]
    pub signer: Option<Signer>,
    /// A pod certificate (KEP-4317, Kubernetes 1.37): the kubelet makes the key and asks.
    #[serde(default)]
    pub pod_certificate: Option<PodCertificate>,
    /// A CertificateRequest of cert-manager for each pod; the key is made in the pod and never leaves it. The pod's service
    /// account may create and get certificaterequests, and the request names the pod: who may be called what is for
    /// cert-manager's approver to decide. One that approves everything lets a pod name itself.
    #[serde(default)]
    pub cert_manager: Option<CertManager>,
    /// kraftlet's own CA in a folder, made on first use; for one machine.
    #[serde(default)]
    pub local_ca: Option<Folder>,
}

/// A folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Folder {
    /// Its path. A template, as `host`.
    pub folder: String,
}

/// A Secret of the pod's namespace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretName {
    /// Its name.
    pub name: String,
}

/// kraftlet's signer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signer {
    /// Where it listens; by default kraftlet-signer.kraftlet-system.svc:9643.
    #[serde(default)]
    pub address: Option<String>,
}

/// A pod certificate.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodCertificate {
    /// Who signs it; by default kraftlet.dev/kafka-node, which is kraftlet's signer. Whom to trust has to be in the
    /// ClusterTrustBundle of this signer that is called `<namespace>.<cluster>`.
    #[serde(default)]
    pub signer_name: Option<String>,
}

/// A request to cert-manager.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertManager {
    /// Who issues it.
    pub issuer: Issuer,
}

/// An issuer of cert-manager.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// Its name.
    pub name: String,
    /// Issuer or ClusterIssuer.
    #[serde(default = "default_issuer_kind")]
    pub kind: String,
    /// Its API group.
    #[serde(default = "default_issuer_group")]
    pub group: String,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A mounted folder.
    Mounted(Template),
    /// A Secret that injection mounts; the name is that of the Secret.
    Secret(String),
    /// kraftlet's signer, at `host:port`.
    Signer(String),
    /// The kubelet's pod certificate, by the name of whoever signs it.
    PodCertificate(String),
    /// cert-manager.
    CertManager(Issuer),
    /// kraftlet's own CA in a folder of this machine.
    LocalCa(Template),
}

/// Where `manifests/install` puts the signer.
pub const SIGNER_ADDRESS: &str = "kraftlet-signer.kraftlet-system.svc:9643";

/// The name that pod certificates are asked of. Its part before the slash is a domain of ours.
pub const SIGNER_NAME: &str = "kraftlet.dev/kafka-node";

/// Where the certificate called `name` is mounted, where a volume brings it.
pub fn mounted_folder(name: &str) -> String {
    format!("/etc/kraftlet/certificates/{name}")
}

impl Source {
    /// The source of the certificate called `name`, or a sentence.
    pub fn new(name: &str, written: &Written) -> Result<Self, String> {
        let Written { mounted, secret, signer, pod_certificate, cert_manager, local_ca } = written;
        let mut sources = Vec::new();
        sources.extend(mounted.as_ref().map(|one| folder(&one.folder).map(Self::Mounted)));
        sources.extend(secret.as_ref().map(|one| object_name(&one.name).map(Self::Secret)));
        sources.extend(signer.as_ref().map(|one| {
            let address = one.address.as_deref().unwrap_or(SIGNER_ADDRESS);
            host_and_port(address).map(Self::Signer)
        }));
        sources.extend(pod_certificate.as_ref().map(|one| {
            let signer_name = one.signer_name.as_deref().unwrap_or(SIGNER_NAME);
            domain_and_path(signer_name).map(Self::PodCertificate)
        }));
        sources.extend(
            cert_manager
                .as_ref()
                .map(|one| object_name(&one.issuer.name).map(|_| Self::CertManager(one.issuer.clone()))),
        );
        sources.extend(local_ca.as_ref().map(|one| folder(&one.folder).map(Self::LocalCa)));
        match sources.len() {
            0 => folder(&mounted_folder(name)).map(Self::Mounted),
            1 => sources.remove(0),
            found => Err(format!(
                "{found} sources; want one of mounted, secret, signer, podCertificate, certManager, localCa"
            )),
        }
    }
}

fn folder(path: &str) -> Result<Template, String> {
    if !path.starts_with('/') {
        return Err(format!("{path:?} is no folder; want an absolute path"));
    }
    path.parse::<Template>().map_err(|error| error.to_string())
}

fn object_name(name: &str) -> Result<String, String> {
    if is_dns_name(name) { Ok(name.to_owned()) } else { Err(format!("{name:?} is no name of an object")) }
}

fn host_and_port(address: &str) -> Result<String, String> {
    let parts = address.rsplit_once(':');
    if parts.is_some_and(|(host, port)| is_dns_name(host) && port.parse::<u16>().is_ok_and(|port| port > 0)) {
        Ok(address.to_owned())
    } else {
        Err(format!("signer address {address:?}; want <host>:<port>"))
    }
}

fn domain_and_path(name: &str) -> Result<String, String> {
    let parts = name.split_once('/');
    if parts.is_some_and(|(domain, path)| is_dns_name(domain) && domain.contains('.') && is_dns_name(path)) {
        Ok(name.to_owned())
    } else {
        Err(format!("signer name {name:?}; want <domain>/<path>, for example {SIGNER_NAME}"))
    }
}

fn default_issuer_kind() -> String {
    "Issuer".to_owned()
}

fn default_issuer_group() -> String {
    "cert-manager.io".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(yaml: &str) -> Result<Source, String> {
        Source::new("node", &serde_saphyr::from_str(yaml).unwrap())
    }

    #[test]
    fn each_source_has_defaults() {
        let check = |yaml: &str, want: Source| assert_eq!(source(yaml), Ok(want));
        check("{}", Source::Mounted("/etc/kraftlet/certificates/node".parse().unwrap()));
        check("{secret: {name: events-tls}}", Source::Secret("events-tls".to_owned()));
        check("{signer: {}}", Source::Signer(SIGNER_ADDRESS.to_owned()));
        check("{podCertificate: {}}", Source::PodCertificate(SIGNER_NAME.to_owned()));
        let issuer = Issuer { name: "ca".into(), kind: "Issuer".into(), group: "cert-manager.io".into() };
        check("{certManager: {issuer: {name: ca}}}", Source::CertManager(issuer));
        check("{localCa: {folder: /tmp/ca}}", Source::LocalCa("/tmp/ca".parse().unwrap()));
    }

    #[test]
    fn what_is_no_source_is_named() {
        let check = |yaml: &str, want: &str| assert_eq!(source(yaml), Err(want.to_owned()));
        check(
            "{signer: {}, localCa: {folder: /ca}}",
            "2 sources; want one of mounted, secret, signer, podCertificate, certManager, localCa",
        );
        check("{mounted: {folder: tls}}", "\"tls\" is no folder; want an absolute path");
        check("{secret: {name: ../x}}", "\"../x\" is no name of an object");
        check("{signer: {address: signer}}", "signer address \"signer\"; want <host>:<port>");
        check(
            "{podCertificate: {signerName: kafka}}",
            "signer name \"kafka\"; want <domain>/<path>, for example kraftlet.dev/kafka-node",
        );
    }
}
