//! kraftlet: the agent beside every Kafka pod.
//!
//! # What it does today
//!
//! `kraftlet init` runs before Kafka, in the same pod. From one settings file and the pod's name it works out which
//! node this is, writes `server.properties`, formats the KRaft directories as Kafka's own storage tool would, and
//! puts a certificate in place that has been checked against everything Kafka will want of it. `kraftlet explain`
//! shows all of that without doing it. There is no JVM in it, and no shell.
//!
//! `kraftlet sidecar` runs beside Kafka. It renews the certificate, has Kafka take it without a restart, and counts it
//! as renewed when handshakes with every listener have shown it and the engine inside Kafka reports it loaded for every
//! client channel, the raft client included. `kraftlet status` and `kraftlet renew` ask it.
//!
//! Both come into a pod by `kraftlet webhook`, or by `kraftlet inject` into its manifest: one decision ([`inject::plan`]),
//! done as a patch or to text. `kraftlet signer` gives pods certificates, by their tokens or by the kubelet's requests, and
//! holds a CA for each cluster. As `kubectl kraftlet` the same program shows a person all pods of a cluster, by that person's own
//! rights.
//!
//! # The pod
//!
//! ```text
//!  settings (ConfigMap)   POD_NAME …   certificate (mounted, signer, local CA …)
//!            \               |            /          \
//!             +------- kraftlet init ----+       kraftlet sidecar ---- status, metrics, orders
//!             |              |            \        |          |
//!   server.properties   log directories   tls/<certificate>/  | handshakes, requests,
//!   client.properties   (meta.properties,  {keystore,         | the engine's reports
//!   secrets.properties   checkpoints)       truststore}       |
//!             \              |            /                   |
//!              +---------- Kafka (with ssl-engine.jar) -------+
//! ```
//!
//! # A renewal
//!
//! [`certificates::schedule`] says when, [`certificates::renewal`] is the machine that says what is next, and
//! [`certificates::trust`] what may be trusted and shown while a CA changes. All three are pure, and simulated over
//! years. The sidecar performs what they say: fetch from a source, check, install by one rename, reload, verify. What
//! Kafka uses is never assumed: [`reload::verify`] judges handshakes, [`reload::engine`] reads what the engine says,
//! and [`reload::coverage`] folds both into which leaf each channel uses and by when Kafka has to be restarted for
//! those that nothing reloads.
//!
//! # Rooms
//!
//! Each folder is a room, named after a noun of the job. A room uses only rooms listed above it, and a file only
//! files listed above it, so a reader who starts at the top never meets a word that has not been explained.
//! `tests/tidy.rs` holds that. Only [`causes`], how an error is told, is a file that all rooms use.
//!
//! | room | what it is about |
//! |---|---|
//! | [`disk`] | files that survive a crash: a change is a step, said before it is done |
//! | [`pki`] | keys, certificates, chains, stores, signing |
//! | [`kafka`] | what Kafka reads and says, to the byte: ids, versions, properties, records, checkpoints, a few questions |
//! | [`pod`] | a pod's name, ordinal and facts |
//! | [`kubernetes`] | the API server: what is asked of it, and how it refuses |
//! | [`cluster`] | the settings file, the cluster it describes, and each node's properties with their origins |
//! | [`storage`] | directories as found, against what they have to be: steps, or refusals |
//! | [`certificates`] | where certificates come from, what is checked, when and how one is renewed, and a change of CA |
//! | [`reload`] | a node's TLS channels, how each is made to take new files, and the handshakes that show that it did |
//! | [`quorum`] | what is seen of the controllers, what it means, and whether this node may stop now |
//! | [`health`] | what the agent knows at one moment, and how it is told: status, metrics, orders |
//! | [`inject`] | what a pod lacks for kraftlet to stand beside its Kafka |
//! | [`signer`] | who asks, and what the settings say of him: a certificate, or a refusal; and the CAs of all clusters |
//! | [`commands`] | one file for each subcommand: drives, decides nothing |
//!
//! # Look, plan, do
//!
//! Whatever touches the world (clock, disk, network, environment, randomness) is in a room's `io.rs`, in
//! `certificates/sources/` or in `commands/`. Everything else takes bytes and times and gives values: it is tested by
//! the thousand and cannot fail at night for reasons of the night. So each command looks first, then plans without
//! touching anything, and then does what the plan says:
//!
//! 1. *Look*: settings, pod, directories, certificate source; where an empty controller disk would be formatted, also
//!    the other controllers.
//! 2. *Plan*: every refusal at once, or a list of [`disk::step::Step`]. A refusal has written nothing.
//! 3. *Do*: [`disk::io::apply`], each step on the disk before the next begins. No step deletes, every step may be
//!    repeated, and `meta.properties` comes last in its directory; so a run that is killed at any instant is
//!    completed by the next.
//!
//! # What must stay true
//!
//! 1. Equal inputs give equal bytes, but for random ids, fresh keys, salts and the time of formatting.
//! 2. A directory of another node or cluster is never written to. Nothing is ever deleted.
//! 3. An empty disk of a controller is not formatted while committed metadata could be lost by it
//!    ([`storage::empty_disk`] has the argument).
//! 4. Passwords and keys are never printed, never in `server.properties`, never on a command line; keystore and chain
//!    are one file, replaced by a rename.
//! 5. A certificate counts as renewed when a handshake has shown it. A channel that cannot reload is reported with a
//!    deadline, and never called renewed.
//! 6. While a CA changes, every node trusts what every peer presents. The agent's end never is Kafka's: it goes on with
//!    the files that are there.
//! 7. An unknown value from outside is an error, never a default; every length from outside has a bound.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make and break files as they like"))]

pub mod causes;
pub mod disk;
pub mod pki;
pub mod kafka;
pub mod pod;
pub mod kubernetes;
pub mod cluster;
pub mod storage;
pub mod certificates;
pub mod reload;
pub mod quorum;
pub mod health;
pub mod inject;
pub mod signer;
pub mod commands;
