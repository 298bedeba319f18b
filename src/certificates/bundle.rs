//! What a source gives: a key, its certificate with the chain above it, and whom to trust.

use std::iter;

use crate::pki::certificate::Certificate;
use crate::pki::private_key::PrivateKey;

/// A fetched certificate, nothing about it checked yet but that each part can be read.
#[derive(Debug, Clone)]
pub struct Bundle {
    key: PrivateKey,
    leaf: Certificate,
    intermediates: Vec<Certificate>,
    anchors: Vec<Certificate>,
}

impl Bundle {
    /// `intermediates` as they shall stand after the leaf; `anchors` may be empty and may hold duplicates, which are
    /// dropped here.
    pub fn new(
        key: PrivateKey,
        leaf: Certificate,
        intermediates: Vec<Certificate>,
        anchors: impl IntoIterator<Item = Certificate>,
    ) -> Self {
        let mut once: Vec<Certificate> = Vec::new();
        for anchor in anchors {
            if !once.contains(&anchor) {
                once.push(anchor);
            }
        }
        Self { key, leaf, intermediates, anchors: once }
    }

    /// The same, with these anchors instead.
    pub fn trusting(&self, anchors: impl IntoIterator<Item = Certificate>) -> Self {
        Self::new(self.key.clone(), self.leaf.clone(), self.intermediates.clone(), anchors)
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The node's own certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// What stands after the leaf, the root perhaps included.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The leaf and all after it.
    pub fn chain(&self) -> impl Iterator<Item = &Certificate> {
        iter::once(&self.leaf).chain(&self.intermediates)
    }

    /// Whether key and chain are the same; trust may differ.
    pub fn has_key_and_chain_of(&self, other: &Self) -> bool {
        self.key.pkcs8_der() == other.key.pkcs8_der() && self.chain().eq(other.chain())
    }

    /// The trust anchors, each once, in the order of the source.
    pub fn anchors(&self) -> &[Certificate] {
        &self.anchors
    }
}
