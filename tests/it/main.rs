//! Everything that is tested from outside the crate, in one binary: it links once.
#![allow(clippy::disallowed_methods, reason = "tests make and break files as they like")]
#![allow(clippy::too_many_lines, reason = "a table is as long as it is")]

#[cfg(test)]
mod golden;
#[cfg(test)]
mod loopback;
#[cfg(test)]
mod ask;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod program;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod health;
#[cfg(test)]
mod inject;
#[cfg(test)]
mod webhook;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod attach;
#[cfg(test)]
mod page;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod api_server;
#[cfg(test)]
mod signer;
#[cfg(test)]
mod proxied;
#[cfg(test)]
mod cert_manager;
#[cfg(test)]
mod events;
#[cfg(test)]
mod kubectl;
