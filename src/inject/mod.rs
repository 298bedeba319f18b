//! Into the pod: what a Pod or a StatefulSet's template lacks so that kraftlet stands beside its Kafka.
//!
//! One decision for every way in: the webhook applies it to Pods as JSON patches, `kraftlet inject` to manifests as text.
//! It never changes what somebody wrote, but where the pod could not work otherwise; it says so as a warning. To decide
//! again after it was applied gives nothing to do.

pub mod words;
pub mod refusal;
pub mod draft;
pub mod asked;
pub mod profile;
pub mod subject;
pub mod variables;
pub mod mount;
pub mod ours;
pub mod kafka;
pub mod plan;
pub mod judge;
pub mod review;
pub mod admit;
pub mod yaml;
pub mod policy;
pub mod manifests;
pub mod serving;
pub mod weight;
pub mod io;
