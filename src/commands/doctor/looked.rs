//! One whole look: disks first, then everybody who can be asked, at the same time, then what the engines report.

use std::collections::BTreeMap;
use std::path::Path;

use nix::sys::stat::major;
use nix::sys::stat::minor;

use crate::certificates::bundle::Bundle;
use crate::cluster::engine;
use crate::cluster::io as cluster_io;
use crate::commands::doctor::agents;
use crate::commands::doctor::handshakes;
use crate::commands::doctor::local;
use crate::commands::doctor::local::Local;
use crate::commands::doctor::nodes::Nodes;
use crate::commands::doctor::quorum;
use crate::commands::doctor::quorum::Seen;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::disk::step::Content;
use crate::health::doctor::agents::Heard;
use crate::health::doctor::disk;
use crate::health::doctor::engine::Prefix;
use crate::health::doctor::engine::Report;
use crate::health::doctor::listeners::Shaken;
use crate::health::doctor::properties::FoundFile;
use crate::quorum::view::QuorumState;
use crate::reload::channel::Way;
use crate::reload::engine::io as engine_io;
use crate::reload::start_note::Material;
use crate::storage::found::DirState;

/// All that was seen.
pub struct Looked<'a> {
    /// On the disk, for each node whose files are here.
    pub locals: Vec<Local<'a>>,
    /// Handshakes.
    pub shaken: Vec<Shaken>,
    /// Listeners that nobody here can speak with.
    pub without: Vec<String>,
    /// Agents.
    pub heard: Vec<Heard>,
    /// The controllers; `None` where nobody here can ask them.
    pub quorum: Option<Seen>,
    /// What the engines of each node report, and what they should, by pod.
    pub engines: BTreeMap<String, (Vec<Prefix>, Report)>,
    /// The jar that belongs to this agent, where it has one.
    pub image: Option<Content>,
    /// File systems that are read-only, by device.
    pub read_only: BTreeMap<u64, bool>,
}

impl<'a> Looked<'a> {
    /// Looks at everything.
    pub async fn look(nodes: &'a Nodes, engine_jar: &Path) -> Result<Self, Failure> {
        let locals: Vec<Local<'a>> = nodes.here.iter().map(Local::look).collect::<Result<_, _>>()?;
        let (questions, without) = handshakes::questions(&locals, &nodes.all)?;
        let agents = agents::agents(nodes)?;
        let quorum = async {
            let (asker, controllers) = quorum::asker(&locals)?;
            Some(quorum::look(asker, &controllers).await)
        };
        let (shaken, heard, quorum) = tokio::join!(handshakes::ask(questions), agents::ask(agents), quorum);
        // A handshake has the engines look at their files, so their reports come after.
        let engines = locals.iter().map(|local| (local.pod.clone(), reported(local))).collect();
        let image = match local::read(engine_jar) {
            FoundFile::Here { content, .. } => Some(content),
            FoundFile::Missing | FoundFile::Unreadable(_) => None,
        };
        let read_only = read_only(&locals);
        Ok(Self { locals, shaken, without, heard, quorum, engines, image, read_only })
    }

    /// Whether something seems to be changing, so that a look soon after may show less: a renewal, where another leaf is
    /// served or loaded than is installed, or a quorum that is whole, and an agent that has not seen it yet.
    pub fn is_moving(&self) -> bool {
        self.renews() || self.is_ahead_of_agents()
    }

    fn is_ahead_of_agents(&self) -> bool {
        let quorum = self.quorum.as_ref().and_then(|seen| seen.quorum.as_ref());
        let is_whole = quorum.is_some_and(|quorum| quorum.state == QuorumState::Healthy);
        let mut conditions =
            self.heard.iter().filter_map(|heard| heard.status.as_ref().ok()).flat_map(|one| &one.conditions);
        is_whole && conditions.any(|condition| condition.reason.as_str().starts_with("Quorum"))
    }

    fn renews(&self) -> bool {
        let serves_another = self.shaken.iter().any(|one| {
            one.installed.is_some_and(|installed| {
                one.seen.presented.first().is_some_and(|served| *served != installed)
            })
        });
        let loads_another = self.engines.values().any(|(prefixes, report)| match report {
            Report::Here(report) => report.states.iter().any(|state| {
                prefixes.iter().any(|prefix| {
                    prefix.listener == state.listener
                        && (state.leaf != Some(prefix.leaf) || state.trust != prefix.trust)
                })
            }),
            Report::Missing | Report::Unreadable(..) => false,
        });
        serves_another || loads_another
    }
}

/// What the engines of a node should have loaded, and what they say.
fn reported(local: &Local<'_>) -> (Vec<Prefix>, Report) {
    let mut prefixes: Vec<Prefix> = Vec::new();
    for channel in local.channels.channels.iter().filter(|channel| channel.leaf_by == Way::Engine) {
        let listener = channel.listener.to_string().to_lowercase();
        let settings = local.inputs.cluster.listeners.iter().find(|one| one.name.to_lowercase() == listener);
        let store = settings.and_then(|one| one.certificate.as_deref()).and_then(|name| local.store(name));
        let Some(bundle) = store.and_then(|store| store.bundle.as_ref()) else { continue };
        if prefixes.iter().all(|prefix| prefix.listener != listener) {
            prefixes.push(prefix(listener, bundle));
        }
    }
    let report = match engine_io::read(&engine::report(&local.inputs.run_folder)) {
        Ok(Some(report)) => Report::Here(report),
        Ok(None) => Report::Missing,
        Err(error) => Report::Unreadable(error.reason(), chain(&error)),
    };
    (prefixes, report)
}

fn prefix(listener: String, bundle: &Bundle) -> Prefix {
    let trust = Material::of_trust(bundle.anchors()).map(|trust| trust.fingerprint);
    Prefix { listener, leaf: bundle.leaf().fingerprint(), trust }
}

/// Which of the file systems beneath the log directories are read-only for everybody. Where the system does not say, none.
fn read_only(locals: &[Local<'_>]) -> BTreeMap<u64, bool> {
    let mounts = cluster_io::read(Path::new("/proc/self/mountinfo")).ok();
    let mounts = mounts.as_ref().map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
    let mut devices = BTreeMap::new();
    for dir in locals.iter().flat_map(|local| &local.found.dirs) {
        if let DirState::Here(contents) = &dir.state {
            let device = contents.access.device;
            let name = format!("{}:{}", major(device), minor(device));
            devices.insert(device, disk::is_read_only(&mounts, &name));
        }
    }
    devices
}
