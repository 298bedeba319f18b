//! The Secrets: read, made, written; and what is published of them.
//!
//! Each write of a Secret names the version that was read, so who was too late notices and reads again. What has been
//! read is used for a minute: somebody may bring a CA of his own.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::hash::BuildHasherDefault;
use std::hash::DefaultHasher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::health::notice::Kind;
use crate::health::text;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::meta::List;
use crate::kubernetes::resource::Resource;
use crate::pki::io::generate;
use crate::pki::io::random_serial;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::sign::Ca;
use crate::signer::authorities::owner::Owner;
use crate::signer::authorities::publisher::io::Publisher;
use crate::signer::event::About;
use crate::signer::event::Word;
use crate::signer::objects::Secret;
use crate::signer::refusal::Refusal;
use crate::signer::stages;
use crate::signer::stages::Move;
use crate::signer::stages::Timetable;
use crate::signer::stored;
use crate::signer::stored::Authority;

/// All CAs.
#[derive(Debug)]
pub struct Authorities {
    api: Api,
    publisher: Publisher,
    timetable: Timetable,
    words: mpsc::Sender<Word>,
    known: Mutex<BTreeMap<Owner, Known>>,
    /// One at a time reads and writes a CA: two requests of a new cluster would else make two, and one be told so. Owners
    /// share these locks by chance; what is slow in one namespace keeps few others waiting.
    slow: [tokio::sync::Mutex<()>; LOCKS],
    /// Who makes one more has counted those that there are, and nobody else makes one meanwhile. It is taken after one of
    /// those above, and none of those after it.
    making: tokio::sync::Mutex<()>,
}

/// May this process write?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// It leads.
    Write,
    /// It only makes what is not there at all.
    Make,
}

#[derive(Debug)]
struct Known {
    authority: Arc<Authority>,
    read_at: Instant,
    published: Option<String>,
}

/// For so long what was read is not read again.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// So many clusters at once.
const LOCKS: usize = 32;

/// A namespace has few clusters; whoever may write its settings could else have any number of CAs, of which none goes by
/// itself.
const MOST_IN_A_NAMESPACE: usize = 16;

/// Some 6 KiB each.
const MOST_KNOWN: usize = 512;

/// Moves that follow each other at once: made, published, noted.
const MOST_MOVES: usize = 6;

impl Authorities {
    /// Of the signer whose namespace `api` has. Each stage is told to `words`.
    pub fn new(api: Api, signer_name: &str, timetable: Timetable, words: mpsc::Sender<Word>) -> Self {
        Self {
            publisher: Publisher::new(api.clone(), signer_name),
            api,
            words,
            timetable,
            known: Mutex::default(),
            slow: Default::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// The signer's namespace.
    pub fn namespace(&self) -> &str {
        self.api.namespace()
    }

    /// The CA that signs a leaf which lives for `life` from now on. It is published, and the leaf's end noted, before it
    /// is given away.
    pub async fn of(&self, owner: &Owner, life: Duration, may: May) -> Result<Arc<Authority>, Refusal> {
        let now = SystemTime::now();
        let until = |authority: &Authority| {
            let end = now.checked_add(life).unwrap_or(now);
            end.min(authority.validity().not_after)
        };
        let is_noted = |authority: &Authority| {
            may == May::Make
                || authority
                    .stages
                    .is_none_or(|stages| stages::leaves_until(&stages, until(authority), now).is_none())
        };
        let quick = || {
            let known = self.locked();
            let found = known.get(owner).filter(|one| one.read_at.elapsed() < FRESH_FOR);
            let found = found.filter(|one| may == May::Make || one.published.is_some());
            found.filter(|one| is_noted(&one.authority)).map(|one| Arc::clone(&one.authority))
        };
        if let Some(found) = quick() {
            return Ok(found);
        }
        let _alone = self.alone(owner).await;
        if let Some(found) = quick() {
            return Ok(found);
        }
        let (mut secret, mut authority) = self.settle(owner, may).await?;
        if let Some(stages) = authority.stages.filter(|_| may == May::Write)
            && let Some(until) = stages::leaves_until(&stages, until(&authority), now)
        {
            secret = self.replace(&stored::with_leaves_until(secret, until)).await?;
            authority = stored::read(&secret).map_err(Refusal::Stored)?;
        }
        let authority = Arc::new(authority);
        self.keep(owner, &authority, may);
        Ok(authority)
    }

    /// Takes every CA of ours one stage further, where it is time, and publishes all of them, those too that somebody
    /// brought. Somebody has to lead for that.
    pub async fn look_after_all(&self) -> Result<(), Refusal> {
        for secret in self.secrets().await? {
            let has_ca = secret.data.contains_key("tls.crt");
            let Some(owner) = Owner::of_secret(&secret.metadata.name).filter(|_| has_ca) else { continue };
            let _alone = self.alone(&owner).await;
            // Somebody may have deleted what was published.
            self.locked().remove(&owner);
            match self.settle(&owner, May::Write).await {
                Ok((_, authority)) => self.keep(&owner, &Arc::new(authority), May::Write),
                Err(Refusal::Api { source, .. }) if source.is_not_found() => {
                    tracing::debug!("CA {owner} stays, and its namespace has gone");
                }
                Err(refusal) => {
                    let told = crate::causes::chain(&refusal);
                    tracing::warn!(reason = refusal.reason(), "CA {owner} cannot be looked after: {told}");
                }
            }
        }
        Ok(())
    }

    /// All Secrets of the signer's namespace. Those that somebody brought have no label.
    async fn secrets(&self) -> Result<Vec<Secret>, Refusal> {
        let place = Resource::SECRETS.of_namespace(self.api.namespace()).map_err(ApiError::from);
        let place = place.map_err(Refusal::asking("the Secrets"))?;
        let found: List<Secret> = self.api.list(&place, "").await.map_err(Refusal::asking("the Secrets"))?;
        Ok(found.items)
    }

    async fn alone(&self, owner: &Owner) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(owner);
        let lock = self.slow.get(usize::try_from(hash % LOCKS as u64).unwrap_or_default());
        lock.expect("the remainder is below the number of locks").lock().await
    }

    /// What has been published is published again: another replica may have led since.
    pub fn forget(&self) {
        self.locked().clear();
    }

    /// The Secret as it is after every move that is due, published.
    async fn settle(&self, owner: &Owner, may: May) -> Result<(Secret, Authority), Refusal> {
        let mut secret = self.read_or_make(owner).await?;
        for _ in 0..MOST_MOVES {
            let authority = stored::read(&secret).map_err(Refusal::Stored)?;
            if may == May::Make {
                return Ok((secret, authority));
            }
            let now = SystemTime::now();
            let next = authority.stages.map(|found| (found, stages::next_move(&found, &self.timetable, now)));
            let written = match next {
                None | Some((_, Move::Rest { .. })) => {
                    self.publish(owner, &authority.anchors_pem()).await?;
                    return Ok((secret, authority));
                }
                Some((_, Move::MakeNext)) => stored::with_next(secret, &self.new_ca(owner)?),
                Some((_, Move::Publish)) => {
                    self.publish(owner, &authority.anchors_pem()).await?;
                    stored::with_trusted_since(secret, now)
                }
                Some((stages, Move::Switch)) => stored::switched(secret, &stages, now),
                Some((_, Move::DropOld)) => stored::without_old(secret),
            };
            secret = self.replace(&written).await?;
            if let Some((_, done)) = next {
                self.tell(owner, done);
            }
        }
        let authority = stored::read(&secret).map_err(Refusal::Stored)?;
        self.publish(owner, &authority.anchors_pem()).await?;
        Ok((secret, authority))
    }

    /// The stage that a CA has reached, for people.
    fn tell(&self, owner: &Owner, done: Move) {
        let Some((reason, sentence)) = stages::told(done, self.timetable.trusted_first) else { return };
        tracing::info!(reason, ca = %owner, "CA {owner}: {sentence}");
        if let Owner::Cluster { namespace, cluster } = owner {
            let about = About::Trust { cluster: cluster.clone() };
            let note = format!("the CA of cluster {cluster}: {sentence}");
            let reason = text::Word::of(reason);
            let word = Word { namespace: namespace.clone(), about, kind: Kind::Normal, reason, note };
            // The log has what finds no room.
            let _ = self.words.try_send(word);
        }
    }

    async fn read_or_make(&self, owner: &Owner) -> Result<Secret, Refusal> {
        let name = owner.secret();
        let namespace = self.api.namespace();
        let place = Resource::SECRETS.named(namespace, &name).map_err(ApiError::from);
        let place = place.map_err(Refusal::asking("the CA"))?;
        match self.api.get(&place).await {
            Err(error) if error.is_not_found() => {}
            found => return found.map_err(Refusal::asking("the CA")),
        }
        let _counted = self.making.lock().await;
        if let Owner::Cluster { namespace, .. } = owner {
            let is_of = |one: &Secret| one.metadata.name.split('.').next() == Some(namespace);
            if self.secrets().await?.iter().filter(|one| is_of(one)).count() >= MOST_IN_A_NAMESPACE {
                return Err(Refusal::TooManyCas { namespace: namespace.clone(), most: MOST_IN_A_NAMESPACE });
            }
        }
        let ca = self.new_ca(owner)?;
        let all = Resource::SECRETS.of_namespace(namespace).map_err(ApiError::from);
        let all = all.map_err(Refusal::asking("the CA"))?;
        match self.api.create(&all, &stored::made(namespace, &name, &ca)).await {
            Ok(made) => {
                let fingerprint = ca.certificate().fingerprint();
                tracing::info!(reason = "CaMade", ca = %owner, %fingerprint, "CA {owner} has been made");
                Ok(made)
            }
            // Somebody else was faster.
            Err(error) if error.is_conflict() => {
                self.api.get(&place).await.map_err(Refusal::asking("the CA"))
            }
            Err(error) => Err(Refusal::asking("the CA")(error)),
        }
    }

    fn new_ca(&self, owner: &Owner) -> Result<Ca, Refusal> {
        let key = generate(KeyAlgorithm::default()).map_err(Refusal::Pki)?;
        let serial = random_serial().map_err(Refusal::Pki)?;
        let name = owner.common_name(&serial.short());
        Ca::self_signed(&name, key, serial, self.timetable.lifetime, SystemTime::now()).map_err(Refusal::Sign)
    }

    async fn replace(&self, secret: &Secret) -> Result<Secret, Refusal> {
        let place = Resource::SECRETS.named(self.api.namespace(), &secret.metadata.name);
        let place = place.map_err(ApiError::from).map_err(Refusal::asking("the CA"))?;
        self.api.replace(&place, secret).await.map_err(Refusal::asking("the CA"))
    }

    async fn publish(&self, owner: &Owner, pem: &str) -> Result<(), Refusal> {
        if self.locked().get(owner).is_some_and(|one| one.published.as_deref() == Some(pem)) {
            return Ok(());
        }
        self.publisher.publish(owner, pem).await
    }

    fn keep(&self, owner: &Owner, authority: &Arc<Authority>, may: May) {
        let mut known = self.locked();
        if known.len() >= MOST_KNOWN && !known.contains_key(owner) {
            known.clear();
        }
        let published = match may {
            May::Write => Some(authority.anchors_pem()),
            May::Make => known.get_mut(owner).and_then(|before| before.published.take()),
        };
        let authority = Arc::clone(authority);
        known.insert(owner.clone(), Known { authority, read_at: Instant::now(), published });
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Owner, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
