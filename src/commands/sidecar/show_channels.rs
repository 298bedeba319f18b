//! What is known of the node's channels, as the snapshot shows it.

use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::trust;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::show;
use crate::health::certificate::State;
use crate::health::channel::Channel;
use crate::health::channel::InUse;
use crate::health::snapshot::Condition;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::pki::certificate::Certificate;
use crate::pki::certificate::Fingerprint;
use crate::reload::channel::Channel as OfNode;
use crate::reload::channel::Way;
use crate::reload::coverage::ChannelCoverage;
use crate::reload::coverage::Standing;
use crate::reload::coverage::TrustStanding;
use crate::reload::start_note::Material;

/// Shows every channel, and for each certificate what its channels trust and what leaves they have.
pub fn show(context: &Context, covered: &[ChannelCoverage], bundles: &[(&dyn Keystore, Bundle)]) {
    let now = SystemTime::now();
    let mut channels = Vec::new();
    for (channel, coverage) in context.channels.channels.iter().zip(covered) {
        let owner = bundles.iter().find(|(stores, _)| stores.listeners().contains(&channel.listener));
        channels.push(shown(channel, coverage, owner, now));
    }
    context.board.change(|snapshot| {
        for channel in &mut channels {
            let before = snapshot.channels.iter().find(|one| one.name == channel.name);
            if channel.seen_at.is_none() {
                channel.seen_at = before.and_then(|one| one.seen_at);
            }
        }
        snapshot.channels = channels;
    });
    for one in covered {
        let condition = restart_needed(one, now).into_iter().collect();
        context.board.conditions(&format!("channel {}", one.channel), condition);
    }
    for (stores, bundle) in bundles {
        let own: Vec<(&OfNode, &ChannelCoverage)> = context
            .channels
            .channels
            .iter()
            .zip(covered)
            .filter(|(channel, _)| stores.listeners().contains(&channel.listener))
            .collect();
        show_trust(context, *stores, bundle, &own);
    }
}

fn show_trust(
    context: &Context,
    stores: &dyn Keystore,
    bundle: &Bundle,
    own: &[(&OfNode, &ChannelCoverage)],
) {
    let trust = Material::of_trust(bundle.anchors()).map(|trust| trust.fingerprint);
    // Leaf and trust of a channel are read in one pass, and that pass was seen to work.
    let was_reloaded = context.trust_reloaded.borrow().get(stores.name()).copied() == trust;
    let is_current = !own.is_empty()
        && own.iter().all(|(channel, one)| match channel.trust_by {
            Way::AdminApi => was_reloaded,
            Way::Engine | Way::NotReloadable(_) => one.trust == TrustStanding::Current,
        });
    let leaf = bundle.leaf().fingerprint();
    let is_everywhere = !own.is_empty() && own.iter().all(|(_, one)| one.leaf == Some(leaf));
    let at = SystemTime::now().max(bundle.leaf().not_before()).min(bundle.leaf().not_after());
    let issuers = trust::issuers(bundle.leaf(), bundle.intermediates(), bundle.anchors(), at);
    context.board.certificate(stores.name(), |shown| {
        let anchors: Vec<Fingerprint> = bundle.anchors().iter().map(Certificate::fingerprint).collect();
        // Trust that was proven and is on the disk still stays proven while channels catch up with what was added.
        shown.trust.proven = if is_current {
            anchors
        } else {
            shown.trust.proven.iter().copied().filter(|one| anchors.contains(one)).collect()
        };
        // A leaf that is being replaced may come back.
        shown.trust.issued_by =
            (is_everywhere && shown.state == State::Serving).then(|| issuers.into_iter().collect());
    });
}

fn shown(
    channel: &OfNode,
    coverage: &ChannelCoverage,
    owner: Option<&(&dyn Keystore, Bundle)>,
    now: SystemTime,
) -> Channel {
    let anchor = owner
        .filter(|(_, bundle)| coverage.leaf == Some(bundle.leaf().fingerprint()))
        .and_then(|(_, bundle)| show::anchor_of(bundle));
    Channel {
        name: Text::new(&channel.name),
        certificate: Text::new(owner.map(|(stores, _)| stores.name()).unwrap_or_default()),
        leaf: coverage.leaf.map(|fingerprint| InUse { fingerprint, not_after: coverage.not_after, anchor }),
        standing: coverage.standing,
        seen_at: (coverage.standing != Standing::Unknown).then_some(now),
        restart_needed_by: coverage.restart_needed_by,
    }
}

/// A channel that nothing but a restart renews.
fn restart_needed(coverage: &ChannelCoverage, now: SystemTime) -> Option<Condition> {
    let by = coverage.restart_needed_by?;
    let cause = coverage.cause.as_ref();
    let because = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    Some(Condition {
        reason: Word::of(cause.map_or("RestartNeeded", |cause| cause.reason())),
        sentence: Text::new(format!("{coverage}{because}")),
        since: now,
        matters_at: by,
        remedy: None,
    })
}
