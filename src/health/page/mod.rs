//! The node on one page, for a person with a browser.
//!
//! It needs nothing but itself: no script, nothing fetched from elsewhere, so it works on a phone over a port-forward
//! while everything else is down, and its policy forbids all of that to whatever might slip in. It says what the
//! snapshot says, worst first, and is bounded however large the cluster is.

pub mod when;
pub mod html;
pub mod style;
pub mod life;
pub mod news;
pub mod channels;
pub mod quorum;
pub mod part;
pub mod head;
pub mod fleet;

use std::time::SystemTime;

use crate::health::page::html::Html;
use crate::health::probe;
use crate::health::snapshot::Snapshot;

/// What is sent with it.
pub const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// What a browser may do with it: use the one style (by its hash) and show the mark of its tab; nothing else, and not
/// inside another page.
pub const CONTENT_SECURITY_POLICY: &str = concat!(
    "default-src 'none'; style-src 'sha256-",
    "UWeeRhEwgPOD72OugAPs3dg7chGVX6dtxr1ssO6Nh5M=",
    "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
);

/// The page as it is at `now`.
pub fn render(snapshot: &Snapshot, now: SystemTime) -> String {
    let mut page = Html::default();
    head::head(&mut page, snapshot, now);
    page.raw("<main>");
    head::tiles(&mut page, snapshot, now);
    news::conditions(&mut page, snapshot, now);
    page.raw("<div class=column>");
    if let Some(seen) = &snapshot.quorum {
        quorum::quorum(&mut page, seen, snapshot.node.node_id, now);
    }
    node(&mut page, snapshot, now);
    news::events(&mut page, snapshot, now);
    page.raw("</div><div class=column>");
    channels::channels(&mut page, snapshot, now);
    channels::certificates(&mut page, snapshot, now);
    page.raw("</div>");
    page.raw("</main>");
    head::foot(&mut page, snapshot, now);
    page.finish()
}

/// The section of this node's part.
fn node(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    page.raw("<section><h2>This node</h2><dl class=rows>");
    part::ready(page, &probe::readyz(snapshot, now));
    if let Some(startup) = &snapshot.startup {
        part::startup(page, startup);
    }
    if let Some(member) = &snapshot.member {
        part::member(page, member, now);
    }
    if let Some(broker) = &snapshot.broker {
        part::broker(page, broker, now);
    }
    part::stopping(page, &probe::safe_to_stop(snapshot, now), snapshot.stop.as_ref(), now);
    page.raw("</dl></section>");
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::health::page::style::STYLE;

    #[test]
    fn the_policy_allows_the_style_that_there_is() {
        let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{hash}'")), "the hash is now {hash}");
    }
}
