//! What a cluster is: one settings file, and everything that follows from it for each node.

pub mod problem;
pub mod document;
pub mod template;
pub mod source;
pub mod settings;
pub mod check;
pub mod pool;
pub mod listener;
pub mod certificate;
pub mod protected;
pub mod model;
pub mod names;
pub mod line;
pub mod engine;
pub mod overrides;
pub mod derived;
pub mod server_properties;
pub mod rules;
pub mod client_properties;
pub mod difference;
pub mod validate;
pub mod parse;
pub mod io;
