//! Writes Events, one at a time, off the way of those who ask for certificates. What finds no room is not told: the
//! log has it all.

use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::causes::chain;
use crate::kubernetes::io::Api;
use crate::kubernetes::resource::Resource;
use crate::pki::io::random_serial;
use crate::signer::event;
use crate::signer::event::Told;
use crate::signer::event::Word;

/// As many as a fleet that restarts has pods.
pub const MOST_WAITING: usize = 256;

/// Tells, until nobody is left who could have something to tell.
pub async fn tell(api: Api, instance: String, mut words: mpsc::Receiver<Word>) {
    let mut told = Told::default();
    while let Some(word) = words.recv().await {
        let now = SystemTime::now();
        let Some(untold) = told.is_news(&word, now) else { continue };
        let Ok(chance) = random_serial() else { continue };
        let name = format!("{}.{}", word.about.name(), chance.hex().chars().take(16).collect::<String>());
        let made = event::event(&word, untold, &name, &instance, now);
        let Ok(place) = Resource::EVENTS.of_namespace(&word.namespace) else { continue };
        if let Err(error) = api.create::<Value>(&place, &made).await {
            let (namespace, name) = (&word.namespace, word.about.name());
            tracing::debug!(reason = error.reason(), "no Event for {namespace}/{name}: {}", chain(&error));
        }
    }
}
