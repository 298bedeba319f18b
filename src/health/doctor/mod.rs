//! What is judged where nothing is remembered: each file takes what was looked at just now and gives findings.

pub mod finding;
pub mod next;
pub mod properties;
pub mod stores;
pub mod engine;
pub mod disk;
pub mod clock;
pub mod listeners;
pub mod quorum;
pub mod agents;
pub mod pods;
