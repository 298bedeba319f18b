//! The loop that watches the settings: whether Kafka would be started with other properties now.
//!
//! The kubelet brings a changed ConfigMap into the pod within a minute or two, and Kafka goes on with what it was started
//! with. That a restart is pending is no fault, so it is said and is no condition. But settings that `init` would refuse
//! are one at once: the pod runs, and could not come back.

use std::future::pending;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::cluster::difference::differences;
use crate::cluster::io as cluster_io;
use crate::cluster::line::Line;
use crate::cluster::server_properties::SECRETS_FILE;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::errand::Errand;
use crate::health::snapshot::Condition;
use crate::health::snapshot::Settings;
use crate::health::text::Text;
use crate::kafka::properties;

/// The kubelet itself looks once a minute; a look reads a few small files, and takes a millisecond.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A turn takes this long: the disk is not waited for.
const TURN_EVERY: Duration = Duration::from_secs(2);

/// As for the loop that watches Kafka start.
const TURNS_WITHIN: Duration = Duration::from_secs(30);

/// The keys that differ; nothing where what Kafka was started with cannot be read; or why the settings are refused.
type Looked = Result<Option<Settings>, String>;

/// Looks for ever. Beside a Kafka that somebody else configures there is nothing to look at.
pub async fn watch(context: Rc<Context>) {
    let (Some(args), Some(inputs)) = (&context.input_args, &context.inputs) else { return pending().await };
    let beat = context.pulse.loop_named("settings", TURNS_WITHIN, Instant::now());
    let mut looks = Errand::default();
    let mut shown = None;
    loop {
        beat.beat(Instant::now());
        if let Some(Some(looked)) = looks.ended().await
            && shown.as_ref() != Some(&looked)
        {
            show(&context, &looked);
            shown = Some(looked);
        }
        if looks.is_due(LOOK_EVERY) {
            looks.begin(look(args.clone(), inputs.run_folder.clone()));
        }
        sleep(TURN_EVERY).await;
    }
}

fn show(context: &Context, looked: &Looked) {
    let (settings, refused) = match looked {
        Ok(settings) => (settings.clone(), None),
        Err(why) => (None, Some(why)),
    };
    if let Some(settings) = settings.as_ref().filter(|settings| settings.is_pending()) {
        let keys: Vec<&str> = settings.changed_keys.iter().map(Text::as_str).collect();
        context.board.happened("RestartPending", &format!("a restart would change {}", keys.join(", ")));
    }
    let now = SystemTime::now();
    let condition = refused.map(|why| Condition {
        reason: Settings::REFUSED,
        sentence: Text::new(format_args!(
            "with the settings as they are now this pod could not start again: {why}"
        )),
        since: now,
        matters_at: now,
        remedy: None,
    });
    context.board.conditions("settings", condition.into_iter().collect());
    context.board.change(|snapshot| snapshot.settings = settings);
}

async fn look(args: InputArgs, run_folder: PathBuf) -> Option<Looked> {
    spawn_blocking(move || {
        let inputs = inputs::read(&args).map_err(|failure| failure.sentence())?;
        let mut changed = Vec::new();
        let files = [("server.properties", &inputs.server.lines), (SECRETS_FILE, &inputs.server.secrets)];
        for (name, lines) in files {
            let path = run_folder.join(name);
            // There is no file for passwords where there are none.
            if lines.is_empty() && !path.exists() {
                continue;
            }
            let started_with = cluster_io::read(&path).ok();
            let Some(started_with) = started_with.and_then(|bytes| properties::parse(&bytes).ok()) else {
                return Ok(None);
            };
            changed.extend(changed_keys(&started_with, lines));
        }
        changed.sort();
        changed.dedup();
        Ok(Some(Settings { changed_keys: changed }))
    })
    .await
    .ok()
}

fn changed_keys(started_with: &[(String, String)], lines: &[Line]) -> Vec<Text> {
    let wanted: Vec<_> = lines.iter().map(|line| (line.key.clone(), line.value.clone())).collect();
    differences(started_with, &wanted).into_iter().map(|one| Text::new(one.key)).collect()
}
