//! `kraftlet signer`: a request and who asks, to a certificate or a refusal.
//!
//! The signer holds the CAs of all clusters, one for each, and nobody else does. It believes nothing that it is told:
//! who asks is what the API server says of the token, and the names are what the settings say of the pod. Of what is
//! sent only the public key is used.
//!
//! Pure: [`admit`] judges the pod, [`wanted`] works out the certificate, [`stages`] says what becomes of a CA as time
//! goes by, [`lead`] who leads, [`limit`] how often one may ask. The folders below ask the API server and write to it.

pub mod objects;
pub mod stages;
pub mod stored;
pub mod refusal;
pub mod admit;
pub mod wanted;
pub mod limit;
pub mod dates;
pub mod lead;
pub mod event;
pub mod lookup;
pub mod authorities;
pub mod events;
pub mod election;
pub mod serving;
pub mod requests;
pub mod io;
