//! The Lease: read, and written where [`lead`](crate::signer::lead) says so.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::causes::chain;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::meta::Meta;
use crate::kubernetes::resource::Resource;
use crate::signer::event::micro_time;
use crate::signer::lead::Election;
use crate::signer::lead::LEASE;
use crate::signer::lead::LOOK_EVERY;
use crate::signer::lead::Lease;
use crate::signer::lead::RENEW_WITHIN;

/// For one look at the Lease and one write: an answer that hangs must not cost the leader its lead.
const TURN_WITHIN: Duration = Duration::from_secs(4);

/// Until when this replica leads, as far as it knows.
#[derive(Debug, Clone)]
pub struct Leading(watch::Receiver<Option<Instant>>);

/// What a replica takes part with.
#[derive(Debug)]
pub struct Candidate {
    api: Api,
    election: Election,
    leads: watch::Sender<Option<Instant>>,
}

impl Leading {
    /// Whether it leads now. Who is asked does little after it is told so: a signature, or a write that fails where
    /// somebody else has written.
    pub fn leads(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Returns when it begins to lead, or goes on.
    pub async fn changed(&mut self) {
        // The candidate lives as long as the process.
        let _ = self.0.changed().await;
    }

    /// For a replica that is alone, in tests and measurements.
    pub fn always() -> Self {
        let far = Instant::now().checked_add(std::time::Duration::from_secs(1 << 30));
        Self(watch::channel(far).1)
    }
}

impl Candidate {
    /// A replica called `name`.
    pub fn new(api: Api, name: &str) -> (Self, Leading) {
        let (leads, leading) = watch::channel(None);
        (Self { api, election: Election::new(name), leads }, Leading(leading))
    }

    /// Takes part for ever.
    pub async fn run(&mut self) {
        loop {
            let begun = Instant::now();
            let turn = timeout(TURN_WITHIN, self.turn()).await;
            match turn.unwrap_or(Err(ApiError::TimedOut { within: TURN_WITHIN })) {
                Ok(true) => {
                    if !self.leads.borrow().is_some_and(|until| begun < until) {
                        tracing::info!(reason = "Leads", "this replica leads");
                    }
                    self.leads.send_replace(begun.checked_add(RENEW_WITHIN));
                }
                Ok(false) => self.rests("somebody else leads"),
                // It leads on, for as long as it has promised.
                Err(error) => {
                    tracing::warn!(reason = error.reason(), "the Lease cannot be renewed: {}", chain(&error));
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Leaves in good order, so that the next one leads at once.
    pub async fn leave(&mut self) {
        self.rests("this replica ends");
        let Ok(place) = Resource::LEASES.named(self.api.namespace(), LEASE) else { return };
        let Ok(found) = self.api.get::<Lease>(&place).await else { return };
        if let Some(spec) = self.election.farewell(&found) {
            let _ = self.api.replace::<Lease>(&place, &Lease { spec, ..found }).await;
        }
    }

    fn rests(&self, why: &str) {
        if self.leads.send_replace(None).is_some() {
            tracing::info!(reason = "DoesNotLead", "this replica does not lead: {why}");
        }
    }

    /// Whether it leads now.
    async fn turn(&mut self) -> Result<bool, ApiError> {
        let resource = Resource::LEASES;
        let namespace = self.api.namespace().to_owned();
        let place = resource.named(&namespace, LEASE)?;
        let found = match self.api.get::<Lease>(&place).await {
            Err(error) if error.is_not_found() => None,
            found => Some(found?),
        };
        let lease = found
            .clone()
            .unwrap_or_else(|| Lease { metadata: Meta::named(&namespace, LEASE), ..Lease::default() });
        let Some(spec) = self.election.wish(&lease, Instant::now(), &micro_time(SystemTime::now())) else {
            return Ok(false);
        };
        let wanted = Lease { spec, ..lease };
        let written: Result<Lease, ApiError> = match found {
            Some(_) => self.api.replace(&place, &wanted).await,
            None => self.api.create(&resource.of_namespace(&namespace)?, &wanted).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
