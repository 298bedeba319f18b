//! How much life a leaf has left: a bar, and the same in words.
//!
//! The bar is an SVG, because a width that is an attribute needs no inline style, which the page's policy forbids.

use std::time::Duration;
use std::time::SystemTime;

use crate::health::certificate::Certificate;
use crate::health::page::html::Html;
use crate::health::page::html::Tone;
use crate::health::page::when::Span;

/// What is left of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it ends.
    pub not_after: SystemTime,
    /// How long; `None` once it has ended.
    pub left: Option<Duration>,
    /// The same in thousandths of a whole life; `None` where nobody knows how long that is.
    pub share: Option<u64>,
}

/// Below a fifth, a renewal has been due for long: by default it is at two thirds of a life.
const WARN_BELOW: u64 = 200;
/// Below a twentieth, a leaf of ninety days has four and a half: too few for a person who is away.
const BAD_BELOW: u64 = 50;

impl Life {
    /// Of a leaf that ends at `not_after`. It is measured by the life of the leaf that `certificate` has installed: the
    /// begin of a leaf in use is not always known, and leaves of one source live equally long.
    pub fn new(not_after: SystemTime, certificate: Option<&Certificate>, now: SystemTime) -> Self {
        let left = not_after.duration_since(now).ok().filter(|left| !left.is_zero());
        let whole = certificate.and_then(|one| {
            let leaf = one.installed.as_ref()?;
            leaf.not_after.duration_since(leaf.not_before).ok()
        });
        let share = whole.and_then(|whole| {
            let share =
                left.unwrap_or_default().as_millis().saturating_mul(1000).checked_div(whole.as_millis())?;
            Some(u64::try_from(share).map_or(1000, |share| share.min(1000)))
        });
        Self { not_after, left, share }
    }

    /// How good that is.
    pub fn tone(&self) -> Tone {
        match (self.left, self.share) {
            (None, _) => Tone::Bad,
            (Some(_), Some(share)) if share < BAD_BELOW => Tone::Bad,
            (Some(_), Some(share)) if share < WARN_BELOW => Tone::Warn,
            (Some(_), Some(_) | None) => Tone::Good,
        }
    }

    /// `1 min 30 s`, or that it is over.
    pub fn words(&self) -> String {
        self.left.map_or_else(|| "expired".to_owned(), |left| Span(left).to_string())
    }

    /// The bar, where the whole is known, and the words.
    pub fn show(&self, page: &mut Html) {
        if let Some(share) = self.share {
            bar(page, self.tone(), share);
        }
        page.raw("<b class=").raw(self.tone().class()).raw(">").text(self.words()).raw("</b>");
        let verb = if self.left.is_some() { "until " } else { "since " };
        page.raw("<small>").raw(verb).date(self.not_after).raw("</small>");
    }
}

/// A bar that is filled by so many thousandths.
pub fn bar(page: &mut Html, tone: Tone, share: u64) {
    page.raw("<svg class=\"bar ").raw(tone.class());
    page.raw("\" viewBox=\"0 0 1000 1\" preserveAspectRatio=none aria-hidden=true><rect height=1 width=\"");
    page.text(share).raw("\"/></svg>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;

    #[test]
    fn a_life_is_measured_by_that_of_the_installed_leaf() {
        let snapshot = full();
        let certificate = snapshot.certificates.first();
        // The installed leaf of the fixture is good from 0 to 120.
        for (not_after, now, share, tone, words) in [
            (120, 0, Some(1000), Tone::Good, "2 min"),
            (120, 60, Some(500), Tone::Good, "1 min"),
            (120, 97, Some(191), Tone::Warn, "23 s"),
            (120, 115, Some(41), Tone::Bad, "5 s"),
            (120, 120, Some(0), Tone::Bad, "expired"),
            (500, 0, Some(1000), Tone::Good, "8 min 20 s"),
        ] {
            let life = Life::new(at(not_after), certificate, at(now));
            assert_eq!((life.share, life.tone(), life.words().as_str()), (share, tone, words), "{now}");
        }
        let unknown = Life::new(at(120), None, at(119));
        assert_eq!((unknown.share, unknown.tone()), (None, Tone::Good));
        let mut never = snapshot.clone();
        never.certificates[0].installed.as_mut().unwrap().not_before = at(120);
        assert_eq!(Life::new(at(120), never.certificates.first(), at(0)).share, None);
    }
}
