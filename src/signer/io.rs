//! From a request to a certificate: who asks, what the settings say of him, and the signature.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::causes::chain;
use crate::certificates::signing::Signed;
use crate::health::notice::Kind;
use crate::health::text;
use crate::pki::certificate::Certificate;
use crate::pki::csr::BareRequest;
use crate::pki::io::random_serial;
use crate::pki::sign;
use crate::pki::sign::LeafRequest;
use crate::pki::stores;
use crate::signer::admit;
use crate::signer::admit::Claim;
use crate::signer::authorities::io::Authorities;
use crate::signer::authorities::io::May;
use crate::signer::authorities::owner::Owner;
use crate::signer::dates;
use crate::signer::election::io::Leading;
use crate::signer::event::About;
use crate::signer::event::Word;
use crate::signer::limit::Limit;
use crate::signer::limit::Rate;
use crate::signer::lookup::io::Admitted;
use crate::signer::lookup::io::Lookup;
use crate::signer::objects::Pod;
use crate::signer::refusal::Refusal;
use crate::signer::refusal::Standing;
use crate::signer::requests;
use crate::signer::requests::PodCertificateRequest;
use crate::signer::wanted;
use crate::signer::wanted::Wanted;
use crate::signer::wanted::Way;

/// Signs, where it may.
#[derive(Debug)]
pub struct Office {
    lookup: Lookup,
    authorities: std::sync::Arc<Authorities>,
    leading: Leading,
    limits: Mutex<Limits>,
    callers: Callers,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    words: mpsc::Sender<Word>,
    signer_name: String,
}

/// How often one may ask.
#[derive(Debug)]
pub struct Limits {
    /// All together, before anybody is asked who it is: it is the API server that is spared.
    pub all: Limit,
    /// One pod.
    pub pod: Limit,
    /// Lines of the log about those who are nobody that is known.
    pub strangers: Limit,
}

/// From where a pod's token is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// From an address of the pod.
    AtHome,
    /// From anywhere, for networks that rewrite addresses.
    Anywhere,
}

/// What becomes of a PodCertificateRequest.
#[derive(Debug)]
pub enum Verdict {
    /// This change of its status.
    Answer(serde_json::Value),
    /// Nothing yet; it may be asked for again later.
    Leave(Refusal),
}

/// Of all, who ask: a thousand pods that start at once are served within seconds.
const ALL: Rate = Rate { burst: 1000, every: Duration::from_millis(2) };

/// Of one pod: a start, and a few attempts in a row. In the long run one in twenty seconds, which suffices for leaves
/// that live for minutes.
const POD: Rate = Rate { burst: 12, every: Duration::from_secs(20) };

/// Everybody who reaches the port can make such a line.
const STRANGERS: Rate = Rate { burst: 20, every: Duration::from_secs(1) };

/// Some 100 bytes each.
const MOST_PODS: usize = 16 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self { all: Limit::new(ALL, 1), pod: Limit::new(POD, MOST_PODS), strangers: Limit::new(STRANGERS, 1) }
    }
}

/// For how long a leaf is to live.
struct Term {
    /// From now on.
    life: Duration,
    /// Before now, at most.
    backdated_by: Duration,
    /// Both together, at least.
    shortest: Duration,
}

/// A leaf, and the authority that it is of.
struct Issue {
    leaf: Certificate,
    chain_pem: String,
    anchors_pem: String,
}

impl Office {
    /// Signs with `authorities` as long as this process leads; refusals and certificates are told to `words`.
    pub fn new(
        lookup: Lookup,
        authorities: std::sync::Arc<Authorities>,
        leading: Leading,
        limits: Limits,
        callers: Callers,
        words: mpsc::Sender<Word>,
        signer_name: &str,
    ) -> Self {
        let signer_name = signer_name.to_owned();
        Self {
            lookup,
            authorities,
            leading,
            limits: Mutex::new(limits),
            callers,
            counts: Mutex::default(),
            words,
            signer_name,
        }
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.leading.leads()
    }

    /// How often it has signed and refused, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut text = "# TYPE kraftlet_signer_answers_total counter\n".to_owned();
        for (reason, count) in counts {
            text.push_str(&format!("kraftlet_signer_answers_total{{reason=\"{reason}\"}} {count}\n"));
        }
        let leads = u8::from(self.leads());
        text + &format!("# TYPE kraftlet_signer_leads gauge\nkraftlet_signer_leads {leads}\n")
    }

    /// A certificate for the public key in `csr`, for the pod whose token came from `from`.
    pub async fn sign(
        &self,
        token: Option<&str>,
        from: IpAddr,
        certificate: &str,
        csr: &[u8],
    ) -> Result<Signed, Refusal> {
        let claim = self.claim(token, from).await?;
        let sign = async {
            let csr = BareRequest::from_pem(csr).map_err(Refusal::Csr)?;
            let pod = self.pod(&claim, from).await?;
            let admitted = self.lookup.admit(&claim, pod).await?;
            let wanted = want(&admitted, certificate, Way::Signer)?;
            wanted::check_key(&wanted, &csr)?;
            let life = wanted.request.lifetime();
            let term = Term { life, backdated_by: sign::MAX_BACKDATED_BY, shortest: Duration::ZERO };
            // First, so that a certificate which is a line of the audit is given away.
            let serving_anchors = self.serving_anchors().await?;
            let issue = self.issue(&admitted, certificate, &wanted, &csr, term).await?;
            Ok(Signed {
                certificate_chain: issue.chain_pem,
                trust_anchors: issue.anchors_pem,
                serving_anchors,
            })
        };
        let signed = sign.await.inspect_err(|refusal| self.refused(&claim, None, refusal))?;
        self.issued(&claim);
        Ok(signed)
    }

    /// Whom the pod whose token came from `from` has to trust now.
    pub async fn trust(
        &self,
        token: Option<&str>,
        from: IpAddr,
        certificate: &str,
    ) -> Result<Signed, Refusal> {
        let claim = self.claim(token, from).await?;
        let trust = async {
            let pod = self.pod(&claim, from).await?;
            let admitted = self.lookup.admit(&claim, pod).await?;
            want(&admitted, certificate, Way::Signer)?;
            let authority = self.authorities.of(&owner(&admitted), Duration::ZERO, May::Write).await?;
            Ok(Signed {
                certificate_chain: String::new(),
                trust_anchors: authority.anchors_pem(),
                serving_anchors: self.serving_anchors().await?,
            })
        };
        trust.await.inspect_err(|refusal| self.refused(&claim, None, refusal))
    }

    /// What becomes of a kubelet's request.
    pub async fn pod_certificate(&self, asked: &PodCertificateRequest) -> Verdict {
        let claim = asked.claim();
        let mut has_begun = false;
        let sign = async {
            if !self.leads() {
                return Err(Refusal::NotLeading);
            }
            let pod = self.lookup.pod(&claim).await?;
            // Whoever makes requests up makes uids up: only those of pods that are there fill the table.
            if pod.metadata.uid != claim.uid {
                return Err(claim.gone());
            }
            has_begun = pod.has_begun();
            self.limit(&claim.uid)?;
            let csr = asked.key().map_err(Refusal::Csr)?;
            let admitted = self.lookup.admit(&claim, pod).await?;
            let wanted = want(&admitted, asked.certificate(), Way::PodCertificate(&self.signer_name))?;
            wanted::check_key(&wanted, &csr)?;
            let life =
                dates::life(wanted.request.lifetime(), asked.longest()).ok_or(Refusal::LifeTooShort)?;
            let term = Term { life, backdated_by: dates::BACKDATED_BY, shortest: dates::SHORTEST };
            let issue = self.issue(&admitted, asked.certificate(), &wanted, &csr, term).await?;
            Ok((issue, wanted))
        };
        let now = SystemTime::now();
        // Whoever makes pods up is told of beside what he made: there is no pod.
        let request = About::Request { name: asked.metadata.name.clone(), uid: asked.metadata.uid.clone() };
        match sign.await.inspect_err(|refusal| self.refused(&claim, Some(request), refusal)) {
            Ok((issue, wanted)) => {
                self.issued(&claim);
                let dates = issue.leaf.validity();
                let refresh_at = dates::begin_refresh_at(dates, wanted.renew_point);
                Verdict::Answer(requests::issued(&issue.chain_pem, dates, refresh_at, now))
            }
            // A kubelet never asks again once it was denied. So only what nobody can make good is denied, and never a
            // refresh: the pod runs on with the certificate that it has.
            Err(refusal) if refusal.standing() == Standing::Final && !has_begun => {
                Verdict::Answer(requests::denied(&refusal, &chain(&refusal), now))
            }
            Err(refusal) => Verdict::Leave(refusal),
        }
    }

    async fn claim(&self, token: Option<&str>, from: IpAddr) -> Result<Claim, Refusal> {
        self.claimed(token).await.inspect_err(|refusal| self.turned_away(from, refusal))
    }

    async fn claimed(&self, token: Option<&str>) -> Result<Claim, Refusal> {
        if !self.leads() {
            return Err(Refusal::NotLeading);
        }
        let token = token.ok_or(Refusal::NoToken)?;
        let now = SystemTime::now();
        self.locked().all.take("", now).map_err(too_many)?;
        let claim = self.lookup.claim(token).await?;
        self.limit(&claim.uid)?;
        Ok(claim)
    }

    /// The pod of a token, where that was sent by the pod itself.
    async fn pod(&self, claim: &Claim, from: IpAddr) -> Result<Pod, Refusal> {
        let pod = self.lookup.pod(claim).await?;
        match self.callers {
            // Of another pod nothing is compared: that it is another is what counts.
            Callers::AtHome if pod.metadata.uid == claim.uid => admit::is_at_home(&pod, from).map(|()| pod),
            Callers::AtHome | Callers::Anywhere => Ok(pod),
        }
    }

    fn limit(&self, uid: &str) -> Result<(), Refusal> {
        let uid = uid.get(..64).unwrap_or(uid);
        self.locked().pod.take(uid, SystemTime::now()).map_err(too_many)
    }

    async fn issue(
        &self,
        admitted: &Admitted,
        certificate: &str,
        wanted: &Wanted,
        csr: &BareRequest,
        term: Term,
    ) -> Result<Issue, Refusal> {
        let owner = owner(admitted);
        let authority = self.authorities.of(&owner, term.life, May::Write).await?;
        let request = LeafRequest {
            public_key_info: csr.public_key_info(),
            common_name: wanted.request.common_name(),
            hosts: wanted.request.hosts(),
            lifetime: term.life,
            backdated_by: term.backdated_by,
        };
        let serial = random_serial().map_err(Refusal::Pki)?;
        // The last word before a signature.
        if !self.leads() {
            return Err(Refusal::NotLeading);
        }
        let leaf = authority.ca.sign(&request, serial, SystemTime::now()).map_err(Refusal::Sign)?;
        // The CA may have had less left. What is given to nobody is no line of the audit.
        if leaf.validity().life() < term.shortest {
            return Err(Refusal::LifeTooShort);
        }
        let hosts = wanted.request.hosts().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let not_after = crate::signer::event::whole_time(leaf.not_after());
        tracing::info!(
            reason = "CertificateIssued",
            cluster = %owner,
            namespace = admitted.pod.metadata.namespace,
            pod = admitted.pod.metadata.name,
            uid = admitted.pod.metadata.uid,
            certificate,
            serial = serial.hex(),
            fingerprint = %leaf.fingerprint(),
            not_after,
            names = hosts,
            "certificate issued"
        );
        let chain_pem = std::iter::once(&leaf).chain(&authority.intermediates);
        let chain_pem = chain_pem.map(stores::certificate_pem).collect();
        Ok(Issue { leaf, chain_pem, anchors_pem: authority.anchors_pem() })
    }

    async fn serving_anchors(&self) -> Result<String, Refusal> {
        let serving = self.authorities.of(&Owner::Signer, Duration::ZERO, May::Make).await?;
        Ok(serving.anchors_pem())
    }

    fn issued(&self, claim: &Claim) {
        self.count("CertificateIssued");
        let about = About::Pod { name: claim.pod.clone(), uid: claim.uid.clone() };
        self.tell(&claim.namespace, about, Kind::Normal, "CertificateIssued", "a certificate was issued");
    }

    /// Tells of a refusal: the log of each, an Event of what is about the pod, or about `request` where there is no pod.
    fn refused(&self, claim: &Claim, request: Option<About>, refusal: &Refusal) {
        let Claim { namespace, pod, uid, .. } = claim;
        let (reason, note) = (refusal.reason(), chain(refusal));
        self.count(reason);
        tracing::warn!(reason, namespace, pod, uid, "no certificate: {note}");
        let about = match refusal {
            Refusal::PodGone { .. } => request,
            _ if refusal.standing() == Standing::MayPass => None,
            _ => Some(About::Pod { name: pod.clone(), uid: uid.clone() }),
        };
        if let Some(about) = about {
            self.tell(namespace, about, Kind::Warning, reason, &note);
        }
    }

    /// Tells of a caller that is nobody, as far as is known: a token says who he is only where it is taken.
    fn turned_away(&self, from: IpAddr, refusal: &Refusal) {
        // Which replica leads pods find out by asking.
        if matches!(refusal, Refusal::NotLeading) {
            return;
        }
        let (reason, note) = (refusal.reason(), chain(refusal));
        self.count(reason);
        if self.locked().strangers.take("", SystemTime::now()).is_err() {
            return;
        }
        tracing::warn!(reason, %from, "no certificate: {note}");
        if refusal.standing() == Standing::Final {
            let note = format!("a request from {from}: {note}");
            self.tell(self.authorities.namespace(), About::Signer, Kind::Warning, reason, &note);
        }
    }

    fn tell(&self, namespace: &str, about: About, kind: Kind, reason: &'static str, note: &str) {
        let (namespace, reason, note) = (namespace.to_owned(), text::Word::of(reason), note.to_owned());
        // The log has what finds no room.
        let _ = self.words.try_send(Word { namespace, about, kind, reason, note });
    }

    fn count(&self, reason: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn want(admitted: &Admitted, certificate: &str, way: Way<'_>) -> Result<Wanted, Refusal> {
    wanted::wanted(&admitted.cluster, &admitted.pod, &admitted.name, certificate, way)
}

fn owner(admitted: &Admitted) -> Owner {
    Owner::Cluster {
        namespace: admitted.pod.metadata.namespace.clone(),
        cluster: admitted.cluster.settings.name.clone(),
    }
}

fn too_many(wait: Duration) -> Refusal {
    Refusal::TooMany { after_s: wait.as_secs().max(1) }
}
