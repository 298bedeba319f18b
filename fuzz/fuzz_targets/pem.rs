//! Certificates and keys as a Secret, a CSI driver or a person puts them there.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::pki::chain;
use kraftlet::pki::private_key::PrivateKey;
use kraftlet::pki::stores;

fuzz_target!(|bytes: &[u8]| {
    match chain::parse_pem(bytes) {
        Ok(certificates) => {
            for certificate in &certificates {
                let _ = format!("{certificate:?}");
                assert_eq!(
                    chain::parse_pem(stores::certificate_pem(certificate).as_bytes()).unwrap(),
                    [certificate.clone()]
                );
            }
        }
        Err(error) => drop(error.to_string()),
    }
    if let Err(error) = PrivateKey::from_pem(bytes) {
        let _ = error.to_string();
    }
});
