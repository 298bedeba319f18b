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
use crate::signer::event::Teller;
use crate::signer::event::Told;
use crate::signer::event::Word;

/// As many as a fleet that restarts has pods.
pub const MOST_WAITING: usize = 256;

/// Tells, until nobody is left who could have something to tell. That an Event cannot be written is said once, until one
/// could: whoever may not write any has decided so.
pub async fn tell(api: Api, teller: Teller, mut words: mpsc::Receiver<Word>) {
    let mut told = Told::default();
    let mut is_known = false;
    while let Some(word) = words.recv().await {
        let now = SystemTime::now();
        let Some(untold) = told.is_news(&word, now) else { continue };
        let Ok(chance) = random_serial() else { continue };
        let name = format!("{}.{}", word.about.name(), chance.hex().chars().take(16).collect::<String>());
        let made = event::event(&word, untold, &name, &teller, now);
        let Ok(place) = Resource::EVENTS.of_namespace(&word.namespace) else { continue };
        let Err(error) = api.create::<Value>(&place, &made).await else {
            is_known = false;
            continue;
        };
        if !std::mem::replace(&mut is_known, true) {
            let (namespace, name) = (&word.namespace, word.about.name());
            tracing::info!(reason = error.reason(), "no Event for {namespace}/{name}: {}", chain(&error));
        }
    }
}
