//! A request for a certificate (PKCS#10): written for our own key, and read with suspicion.
//!
//! Of a request that comes in only the public key is of use: whoever signs knows the names from somewhere better. So a
//! request that asks for names, or for anything, is a mistake or an attempt, and is refused rather than cut down.

use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::pki::hostname::Host;
use crate::pki::key_kind::KeyKind;
use crate::pki::key_kind::significant_bits;
use crate::pki::private_key::PrivateKey;
use crate::pki::sign;
use crate::pki::sign::SignError;

/// A public key whose owner has shown that he has the private one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareRequest {
    public_key_info: Vec<u8>,
    kind: KeyKind,
}

/// Bytes that are no request for a certificate for a bare key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Larger than any request with one key.
    #[error("request of {size} bytes; want at most {MAX_BYTES}")]
    TooLarge {
        /// Bytes found.
        size: usize,
    },
    /// No PEM block, or several.
    #[error("{count} PEM blocks CERTIFICATE REQUEST; want one")]
    Count {
        /// Blocks found.
        count: usize,
    },
    /// Not PKCS#10.
    #[error("not a PKCS#10 request: {what}")]
    Malformed {
        /// What the parser said.
        what: String,
    },
    /// A name, an extension or an attribute.
    #[error(
        "the request asks for {what}; want a bare public key, since the signer knows all else from the settings"
    )]
    Asks {
        /// What for.
        what: &'static str,
    },
    /// Whoever sent it has not shown that the key is his.
    #[error("the request is not signed with its own key")]
    Signature,
}

impl CsrError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "RequestTooLarge",
            Self::Count { .. } | Self::Malformed { .. } => "RequestMalformed",
            Self::Asks { .. } => "RequestAsksForMore",
            Self::Signature => "RequestNotSigned",
        }
    }
}

/// One with an RSA key of 8192 bits has 2.3 KiB as DER and 3.2 KiB as PEM.
pub const MAX_BYTES: usize = 16 * 1024;

impl BareRequest {
    /// Reads the one request in a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CsrError> {
        if pem.len() > MAX_BYTES {
            return Err(CsrError::TooLarge { size: pem.len() });
        }
        let found = CertificateSigningRequestDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        match found.map_err(|error| malformed(format!("{error:?}")))?.as_slice() {
            [one] => Self::from_der(one),
            several => Err(CsrError::Count { count: several.len() }),
        }
    }

    /// Reads a request and checks that it is signed with its own key, and asks for nothing.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_BYTES {
            return Err(CsrError::TooLarge { size: der.len() });
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|error| malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes follow it", rest.len())));
        }
        let info = &request.certification_request_info;
        if info.subject.iter().next().is_some() {
            return Err(CsrError::Asks { what: "a subject" });
        }
        if info.iter_attributes().next().is_some() {
            return Err(CsrError::Asks { what: "extensions or attributes" });
        }
        request.verify_signature().map_err(|_| CsrError::Signature)?;
        let key = &info.subject_pki;
        let rsa_bits = match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => significant_bits(rsa.modulus),
            _ => 0,
        };
        let kind = KeyKind::from_algorithm(&key.algorithm, rsa_bits);
        Ok(Self { public_key_info: key.raw.to_vec(), kind })
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// Kind and size of the key.
    pub fn kind(&self) -> &KeyKind {
        &self.kind
    }
}

/// A request for this key and nothing else, as PEM.
pub fn bare(key: &PrivateKey) -> Result<String, SignError> {
    write(key, DistinguishedName::new(), &[])
}

/// A request that names its subject and its hosts, for signers who take them from it.
pub fn naming(key: &PrivateKey, common_name: &str, hosts: &[Host]) -> Result<String, SignError> {
    write(key, sign::common_name_only(common_name), hosts)
}

fn write(key: &PrivateKey, subject: DistinguishedName, hosts: &[Host]) -> Result<String, SignError> {
    let refused = |source| SignError::Rcgen { source };
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.subject_alt_names = hosts.iter().map(sign::san).collect::<Result<_, _>>().map_err(refused)?;
    let request = params.serialize_request(&*sign::key_pair(key)?).map_err(refused)?;
    request.pem().map_err(refused)
}

fn malformed(what: String) -> CsrError {
    CsrError::Malformed { what }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::BasicConstraints;
    use rcgen::IsCa;

    use super::*;
    use crate::pki::io::generate;
    use crate::pki::key_kind::KeyAlgorithm;

    fn refused(pem: &str) -> &'static str {
        BareRequest::from_pem(pem.as_bytes()).unwrap_err().reason()
    }

    #[test]
    fn a_bare_request_gives_the_key_and_its_kind() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
            let key = generate(algorithm).unwrap();
            let read = BareRequest::from_pem(bare(&key).unwrap().as_bytes()).unwrap();
            assert_eq!(*read.kind(), algorithm.kind());
            assert_eq!(read.public_key_info(), sign::public_key_info(&key).unwrap());
        }
    }

    #[test]
    fn a_request_that_asks_for_anything_is_refused() {
        let key = generate(KeyAlgorithm::EcdsaP256).unwrap();
        let hosts: Vec<Host> = vec!["kafka-0.kafka".parse().unwrap()];
        assert_eq!(refused(&naming(&key, "kafka-node", &[]).unwrap()), "RequestAsksForMore");
        assert_eq!(refused(&naming(&key, "kafka-node", &hosts).unwrap()), "RequestAsksForMore");
        assert_eq!(refused(&write(&key, DistinguishedName::new(), &hosts).unwrap()), "RequestAsksForMore");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pair = sign::key_pair(&key).unwrap();
        let pem = params.serialize_request(&*pair).unwrap().pem().unwrap();
        assert_eq!(refused(&pem), "RequestAsksForMore");
    }

    #[test]
    fn whoever_does_not_have_the_key_gets_nothing() {
        let [one, other] = [(); 2].map(|()| generate(KeyAlgorithm::EcdsaP256).unwrap());
        let der = |pem: &str| {
            CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().as_ref().to_vec()
        };
        let point = |key: &PrivateKey| {
            let info = sign::public_key_info(key).unwrap();
            info[info.len() - 64..].to_vec()
        };
        let mut request = der(&bare(&one).unwrap());
        let at = request.windows(64).position(|bytes| bytes == point(&one)).unwrap();
        request[at..at + 64].copy_from_slice(&point(&other));
        assert_eq!(BareRequest::from_der(&request), Err(CsrError::Signature));
        let pem = bare(&one).unwrap();
        assert_eq!(refused(&format!("{pem}{pem}")), "RequestMalformed");
        assert_eq!(refused("hello"), "RequestMalformed");
        assert_eq!(refused(&"x".repeat(MAX_BYTES + 1)), "RequestTooLarge");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..200, byte in any::<u8>()) {
            let key = generate(KeyAlgorithm::EcdsaP256).unwrap();
            let pem = bare(&key).unwrap();
            let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap();
            let mut bytes = der.as_ref().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = BareRequest::from_der(&bytes);
            let _ = BareRequest::from_der(&bytes[..at]);
        }
    }
}
