//! The dates of a pod certificate, which the API server checks (KEP-4317; `ValidatePodCertificateRequestStatusUpdate`).

use std::time::Duration;
use std::time::SystemTime;

use crate::pki::renew_point::RenewPoint;
use crate::pki::validity::Validity;

/// From its first second to its last, a pod certificate lives for an hour or longer.
pub const SHORTEST: Duration = Duration::from_secs(60 * 60);

/// It begins within five minutes of the API server's now, whose clock and ours may differ by a little. And no leaf is
/// backdated by more than a twentieth of what follows (`pki::sign`), of which the shortest has an hour less this.
pub const BACKDATED_BY: Duration = Duration::from_secs(2 * 60);

/// It is not refreshed within this time of either end.
const FROM_AN_END: Duration = Duration::from_secs(10 * 60);

/// The kubelet begins up to so much later than it is told.
const KUBELET_WAITS: Duration = Duration::from_secs(5 * 60);

/// How long from now a certificate lives that the settings want to live for `lifetime`, and the kubelet for `most` at most,
/// backdating included; `None` where there is no such life.
pub fn life(lifetime: Duration, most: Duration) -> Option<Duration> {
    if most < SHORTEST {
        return None;
    }
    let whole = lifetime.saturating_add(BACKDATED_BY).clamp(SHORTEST, most);
    whole.checked_sub(BACKDATED_BY)
}

/// When the kubelet is to ask for the next one: so that it has asked by the renew point, as far as Kubernetes allows.
pub fn begin_refresh_at(leaf: Validity, renew_point: RenewPoint) -> SystemTime {
    let earliest = leaf.not_before.checked_add(FROM_AN_END).unwrap_or(leaf.not_after);
    let latest = leaf.not_after.checked_sub(FROM_AN_END).unwrap_or(leaf.not_after);
    let due = renew_point.of(leaf);
    let wanted = due.checked_sub(KUBELET_WAITS).unwrap_or(due);
    let whole =
        wanted.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
    (SystemTime::UNIX_EPOCH + Duration::from_secs(whole)).clamp(earliest, latest.max(earliest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::io as pki_io;
    use crate::pki::key_kind::KeyAlgorithm;
    use crate::pki::sign;
    use crate::pki::sign::Ca;
    use crate::pki::sign::LeafRequest;
    use crate::pki::testing;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_life_is_what_the_settings_want_within_what_kubernetes_allows() {
        let check = |wanted, most, want| assert_eq!(life(wanted, most), want);
        check(24 * 60 * MINUTE, 24 * 60 * MINUTE, Some((24 * 60 - 2) * MINUTE));
        check(2 * 60 * MINUTE, 24 * 60 * MINUTE, Some(120 * MINUTE));
        check(5 * MINUTE, 24 * 60 * MINUTE, Some(58 * MINUTE));
        check(24 * 60 * MINUTE, 60 * MINUTE, Some(58 * MINUTE));
        check(24 * 60 * MINUTE, 59 * MINUTE, None);
    }

    #[test]
    fn what_is_signed_for_such_a_life_is_what_kubernetes_takes() {
        let key = || pki_io::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let serial = || pki_io::random_serial().unwrap();
        let ca = Ca::self_signed("test CA", key(), serial(), testing::days(90), testing::now()).unwrap();
        let public_key_info = sign::public_key_info(&key()).unwrap();
        for (wanted, most) in [(60, 60), (61, 61), (60, 90), (70, 80), (24 * 60, 24 * 60), (24 * 60, 75)] {
            let (wanted, most) = (wanted * MINUTE, most * MINUTE);
            let request = LeafRequest {
                public_key_info: &public_key_info,
                common_name: "node",
                hosts: &[],
                lifetime: life(wanted, most).unwrap(),
                backdated_by: BACKDATED_BY,
            };
            let leaf = ca.sign(&request, serial(), testing::now()).unwrap();
            let whole = leaf.validity().life();
            assert!(SHORTEST <= whole && whole <= most, "{wanted:?} of {most:?}: {whole:?}");
        }
    }

    #[test]
    fn it_is_refreshed_by_the_renew_point_and_not_near_an_end() {
        let now = testing::now();
        let check = |minutes: u32, percent, want: u32| {
            let leaf = Validity { not_before: now, not_after: now + minutes * MINUTE };
            let at = begin_refresh_at(leaf, RenewPoint::from_percent(percent).unwrap());
            assert_eq!(at, now + want * MINUTE, "{minutes} {percent}");
        };
        check(24 * 60, 50, 12 * 60 - 5);
        check(60, 50, 25);
        check(60, 10, 10);
        check(60, 90, 49);
        check(100, 90, 85);
    }
}
