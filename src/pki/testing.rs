//! Certificates made for tests, good ones and ones that no issuer would give.

use std::time::Duration;
use std::time::SystemTime;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::SignatureAlgorithm;

use crate::pki::certificate::Certificate;
use crate::pki::private_key::PrivateKey;

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) certificate: Certificate,
    pub(crate) key_pair: KeyPair,
    params: CertificateParams,
}

/// 2026-11-23 12:00:00 UTC: all tests live at one moment.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_435_200)
}

pub(crate) fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// A leaf as it should be: valid from yesterday for 90 days, for both ends of a handshake.
pub(crate) fn leaf_params(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = (now() - days(1)).into();
    params.not_after = (now() + days(89)).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

/// A CA as it should be: valid from yesterday for ten years.
pub(crate) fn ca_params(common_name: &str) -> CertificateParams {
    let mut params = leaf_params(common_name, &[]);
    params.not_after = (now() + days(3650)).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = Vec::new();
    params
}

pub(crate) fn root(common_name: &str) -> Issued {
    Issued::self_signed(ca_params(common_name), &rcgen::PKCS_ECDSA_P256_SHA256)
}

impl Issued {
    pub(crate) fn self_signed(params: CertificateParams, algorithm: &'static SignatureAlgorithm) -> Self {
        let key_pair = KeyPair::generate_for(algorithm).unwrap();
        let made = params.self_signed(&key_pair).unwrap();
        Self { certificate: Certificate::from_der(made.der()).unwrap(), key_pair, params }
    }

    pub(crate) fn sign(&self, params: CertificateParams) -> Self {
        self.sign_key(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn sign_key(&self, params: CertificateParams, key_pair: KeyPair) -> Self {
        let issuer = Issuer::from_params(&self.params, &self.key_pair);
        let made = params.signed_by(&key_pair, &issuer).unwrap();
        Self { certificate: Certificate::from_der(made.der()).unwrap(), key_pair, params }
    }

    pub(crate) fn private_key(&self) -> PrivateKey {
        PrivateKey::from_pkcs8_der(self.key_pair.serialized_der()).unwrap()
    }
}
