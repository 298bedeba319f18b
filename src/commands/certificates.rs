//! The certificate part of `init`: fetch, preflight, and the steps that install.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::finding::Finding;
use crate::certificates::finding::Severity;
use crate::certificates::install;
use crate::certificates::install::Installed;
use crate::certificates::install::StoreKind;
use crate::certificates::preflight;
use crate::certificates::request::Request;
use crate::certificates::requirements::Authorization;
use crate::certificates::requirements::Requirements;
use crate::certificates::requirements::ShownTo;
use crate::certificates::schedule::Schedule;
use crate::certificates::schedule::Slot;
use crate::certificates::sources::Remedy;
use crate::certificates::sources::Source;
use crate::certificates::sources::SourceError;
use crate::certificates::sources::cert_manager::CertManager;
use crate::certificates::sources::local_ca::LocalCa;
use crate::certificates::sources::mounted::Mounted;
use crate::certificates::sources::pod_certificate::pod_certificate;
use crate::certificates::sources::signer::Signer;
use crate::certificates::trust;
use crate::cluster::certificate::Certificate;
use crate::cluster::derived;
use crate::cluster::io as cluster_io;
use crate::cluster::listener::Listener;
use crate::cluster::names;
use crate::cluster::settings::Authorizer;
use crate::cluster::settings::SecurityProtocol;
use crate::cluster::settings::Store;
use crate::cluster::source as cluster_source;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::inputs;
use crate::commands::inputs::Inputs;
use crate::disk::step::Content;
use crate::disk::step::Step;
use crate::pki::certificate::Certificate as PkiCertificate;
use crate::pki::handshake::TlsClient;
use crate::pki::io as pki_io;
use crate::pki::stores::StoreError;

/// A certificate that is still to be fetched: from whom, and what it must be.
pub struct Order {
    name: String,
    folder: PathBuf,
    source: Box<dyn Source>,
    request: Request,
    requirements: Requirements,
    kind: StoreKind,
    schedule: Schedule,
}

/// A certificate that is fetched and checked.
#[derive(Debug)]
pub struct Checked {
    /// Its name in the settings.
    pub name: String,
    /// Key, chain and trust.
    pub bundle: Bundle,
    /// What installs it.
    pub steps: Vec<Step>,
    /// What somebody should know, though it is no reason to stop.
    pub warnings: Vec<String>,
    /// Whether it is the leaf that was installed before.
    pub kept: bool,
}

/// The certificates this node needs: those of its own listeners, and that of the controllers', for its raft client.
pub fn needed(inputs: &Inputs) -> Vec<&Certificate> {
    let Inputs { cluster, node, .. } = inputs;
    let mut needed: Vec<&Certificate> = Vec::new();
    for listener in cluster.listeners_of(node).chain(cluster.controller_listener()) {
        let certificate = cluster.certificate(listener);
        needed.extend(certificate.filter(|one| needed.iter().all(|other| other.name != one.name)));
    }
    needed
}

/// The source of a certificate.
pub fn source(inputs: &Inputs, certificate: &Certificate) -> Result<Box<dyn Source>, Failure> {
    let folder = |template| {
        let folder = inputs.cluster.render(template, &inputs.node)?;
        Ok::<_, Failure>(PathBuf::from(folder))
    };
    Ok(match &certificate.source {
        cluster_source::Source::Mounted(template) => Box::new(Mounted::new(folder(template)?)),
        cluster_source::Source::Secret(_) => {
            Box::new(Mounted::new(cluster_source::mounted_folder(&certificate.name)))
        }
        cluster_source::Source::LocalCa(template) => Box::new(LocalCa::new(folder(template)?)),
        cluster_source::Source::Signer(address) => {
            Box::new(Signer::in_pod(address, &certificate.name, &stores_folder(inputs, &certificate.name)))
        }
        cluster_source::Source::PodCertificate(_) => {
            let folder = cluster_source::mounted_folder(&certificate.name);
            Box::new(pod_certificate(Path::new(&folder)))
        }
        cluster_source::Source::CertManager(issuer) => {
            let (pod, folder) = (inputs.node.pod.to_string(), stores_folder(inputs, &certificate.name));
            Box::new(CertManager::in_pod(issuer, &pod, &certificate.name, &folder))
        }
    })
}

fn stores_folder(inputs: &Inputs, name: &str) -> PathBuf {
    inputs.run_folder.join("tls").join(name)
}

/// When this node's leaves are due. Every node counts the nodes in one order, controllers first, so that each finds a
/// slot of its own.
pub fn schedule(inputs: &Inputs, certificate: &Certificate) -> Schedule {
    let Inputs { cluster, node, .. } = inputs;
    let mut nodes = cluster.nodes(None);
    nodes.sort_by_key(|one| (!one.pool.roles.is_controller(), one.node_id));
    let rank = nodes.iter().position(|one| one.node_id == node.node_id).unwrap_or(nodes.len());
    let slot = Slot::new(&cluster.cluster_id.to_string(), &node.pod.to_string(), rank, nodes.len());
    Schedule::new(certificate.renew_point, slot)
}

impl Order {
    /// What follows from the settings, for one certificate; asks its source nothing.
    pub fn new(inputs: &Inputs, certificate: &Certificate) -> Result<Self, Failure> {
        Ok(Self {
            name: certificate.name.clone(),
            folder: stores_folder(inputs, &certificate.name),
            source: source(inputs, certificate)?,
            request: request(inputs, certificate)?,
            requirements: requirements(inputs, certificate)?,
            kind: store_kind(inputs, certificate),
            schedule: schedule(inputs, certificate),
        })
    }

    /// The certificate's name in the settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its stores are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The form of its stores.
    pub fn kind(&self) -> &StoreKind {
        &self.kind
    }

    /// Where it comes from.
    pub fn source(&self) -> &dyn Source {
        self.source.as_ref()
    }

    /// Whether the source has to make a CA before it can give a certificate.
    pub fn makes_a_ca(&self) -> bool {
        self.source.makes_a_ca()
    }

    /// The stores that are there. One that cannot be read counts as not there, and is written anew.
    pub fn installed(&self) -> Installed {
        self.stores(|store| store.name(&self.kind).to_owned())
    }

    /// The last good stores, as far as they were kept.
    pub fn last_good(&self) -> Installed {
        self.stores(|store| install::last_good_name(store, &self.kind))
    }

    fn stores(&self, name: impl Fn(install::Store) -> String) -> Installed {
        let read = |store| {
            let bytes = cluster_io::read(&self.folder.join(name(store))).ok();
            bytes.map(|mut bytes| Content::new(std::mem::take(&mut *bytes)))
        };
        Installed { keystore: read(install::Store::Keystore), truststore: read(install::Store::Truststore) }
    }

    /// What the source gives now; nothing is checked and nothing written.
    pub fn fetch(&self, now: SystemTime) -> Result<Bundle, SourceError> {
        self.source.fetch(&self.request, now)
    }

    /// Whom the source trusts now; `None` where only a new leaf would tell.
    pub fn trusted(&self, now: SystemTime) -> Result<Option<Vec<PkiCertificate>>, SourceError> {
        match self.source.trusted(&self.request)? {
            None if !self.source.issues() => Ok(Some(self.fetch(now)?.anchors().to_vec())),
            trusted => Ok(trusted),
        }
    }

    /// All that is wrong with a bundle, or that somebody should know.
    pub fn findings(&self, bundle: &Bundle, now: SystemTime) -> Vec<Finding> {
        preflight::preflight(bundle, &self.requirements, now)
    }

    /// What puts the bundle in the place of what is installed.
    pub fn steps(&self, bundle: &Bundle, installed: &Installed) -> Result<Vec<Step>, StoreError> {
        install::steps(bundle, &self.folder, &self.kind, installed)
    }

    /// Fetches the certificate, or keeps the one that is installed, and checks it. All findings come at once.
    pub fn check(&self) -> Result<Checked, Failure> {
        let name = &self.name;
        let installed = self.installed();
        let (bundle, kept) = self.choose(&installed, SystemTime::now())?;
        // The source has had its time, and what it made just now is not of before.
        let findings = self.findings(&bundle, SystemTime::now());
        let said = |finding: &Finding| format!("certificate {name}: {}", chain(finding));
        let (refusals, warnings): (Vec<_>, Vec<_>) =
            findings.iter().partition(|finding| finding.severity() == Severity::Refusal);
        let refusals = refusals.into_iter().map(|finding| (said(finding), finding.reason())).collect();
        if let Some(failure) = Failure::all(Exit::Person, refusals) {
            return Err(failure);
        }
        let steps = self
            .steps(&bundle, &installed)
            .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
        let warnings = warnings.into_iter().map(said).collect();
        Ok(Checked { name: name.clone(), bundle, steps, warnings, kept })
    }

    /// The leaf that is installed, as long as it will do, or what the source gives; and whether it is the former.
    ///
    /// A source that issues anew at each fetch is not asked while the leaf that is there will do: a container that
    /// restarts keeps its certificate, and `init` twice is `init` once. In a change of CA trust is added here and never
    /// taken away, and a leaf of the new CA does not take the place of one that works: what the peers trust and need
    /// is for the sidecar to find out.
    fn choose(&self, installed: &Installed, now: SystemTime) -> Result<(Bundle, bool), Failure> {
        let Self { source, request, requirements, kind, schedule, .. } = self;
        let there = install::read(installed, kind);
        let mut known: Vec<PkiCertificate> = there.iter().flat_map(Bundle::anchors).cloned().collect();
        known.retain(|anchor| now <= anchor.not_after());
        let trusted = source.trusted(request).map_err(not_given)?;
        if let (Some(anchors), Some(keystore)) = (trusted, &installed.keystore) {
            let anchors: Vec<PkiCertificate> = anchors.into_iter().chain(known.iter().cloned()).collect();
            let kept = install::keep(keystore.bytes(), kind, &anchors, request, requirements, schedule, now);
            if let Some(bundle) = kept {
                return Ok((bundle, true));
            }
        }
        let fetched = self.fetch(now).map_err(not_given)?;
        let trusting_both =
            |bundle: &Bundle| bundle.trusting(fetched.anchors().iter().chain(&known).cloned());
        if let Some(there) = there.as_ref().map(trusting_both).filter(|_| is_of_a_new_ca(&fetched, &known)) {
            let works = self.findings(&there, now).iter().all(|one| one.severity() == Severity::Warning);
            if works {
                return Ok((there, true));
            }
        }
        Ok((trusting_both(&fetched), false))
    }
}

/// Whether somebody who trusts `known` and not what comes with the leaf would refuse it.
fn is_of_a_new_ca(fetched: &Bundle, known: &[PkiCertificate]) -> bool {
    let at = fetched.leaf().not_before();
    let issuers = |anchors| trust::issuers(fetched.leaf(), fetched.intermediates(), anchors, at);
    issuers(known).is_empty() && !issuers(fetched.anchors()).is_empty()
}

/// What the agent's own connections show: this leaf and its trust.
pub fn tls_client(bundle: &Bundle) -> Result<TlsClient, Failure> {
    pki_io::tls_client(bundle.key(), bundle.chain(), bundle.anchors())
        .map_err(|error| Failure::of(Exit::Person, error.reason(), &error))
}

fn not_given(error: SourceError) -> Failure {
    let exit = match error.remedy() {
        Remedy::TryAgain => Exit::Again,
        Remedy::ChangeSomething => Exit::Person,
    };
    Failure::of(exit, error.reason(), &error)
}

fn store_kind(inputs: &Inputs, certificate: &Certificate) -> StoreKind {
    match (certificate.store, inputs.store_passwords.get(&certificate.name)) {
        (Store::Pkcs12, Some(password)) => StoreKind::Pkcs12 { password: password.clone() },
        // A PKCS12 store without a password was refused with the settings.
        (Store::Pkcs12, None) | (Store::Pem, _) => StoreKind::Pem,
    }
}

fn requirements(inputs: &Inputs, certificate: &Certificate) -> Result<Requirements, Failure> {
    let of_peers: Vec<&Listener> = inputs
        .cluster
        .listeners
        .iter()
        .filter(|one| one.is_for_controllers() || one.is_for_brokers())
        .filter(|one| one.certificate.as_ref() == Some(&certificate.name))
        .collect();
    Ok(Requirements {
        hosts: names::advertised(&inputs.cluster, &inputs.node, certificate)
            .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?,
        shown_to: if of_peers.is_empty() { ShownTo::Clients } else { ShownTo::Peers },
        authorization: authorization(inputs, &of_peers),
        warn_within: WARN_WITHIN,
    })
}

/// By what name Kafka knows a peer that shows the certificate on one of these listeners.
fn authorization(inputs: &Inputs, of_peers: &[&Listener]) -> Authorization {
    // With SASL, Kafka knows a peer by its login (DefaultKafkaPrincipalBuilder) and not by its leaf.
    let known_by_leaf: Vec<&&Listener> =
        of_peers.iter().filter(|one| one.security_protocol == SecurityProtocol::Ssl).collect();
    match inputs.cluster.settings.authorizer {
        Authorizer::Standard if !known_by_leaf.is_empty() => {
            let keys = known_by_leaf.iter().flat_map(|listener| {
                PRINCIPAL_KEYS.iter().flat_map(|key| [listener.key(key), (*key).to_owned()])
            });
            let is_set = |key: &String| inputs.server.lines.iter().any(|line| line.key == *key);
            match keys.into_iter().find(is_set) {
                Some(key) => Authorization::MappedBy(key),
                None => {
                    Authorization::SuperUsers(derived::super_users(&inputs.cluster).into_iter().collect())
                }
            }
        }
        Authorizer::Standard | Authorizer::None => Authorization::NotChecked,
    }
}

/// What makes a principal other than `User:` and the subject (BrokerSecurityConfigs).
const PRINCIPAL_KEYS: [&str; 2] = ["principal.builder.class", "ssl.principal.mapping.rules"];

/// A source that has not renewed a day before the end is late: cert-manager and KubeDB renew at two thirds of a life
/// of weeks.
const WARN_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// What is asked of the source.
fn request(inputs: &Inputs, certificate: &Certificate) -> Result<Request, Failure> {
    let mut request = Request::of_node(&inputs.cluster, &inputs.node, certificate)
        .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
    for file in &certificate.trust {
        request = request
            .with_further_anchors(&inputs::read_file(file)?)
            .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
    }
    Ok(request)
}
