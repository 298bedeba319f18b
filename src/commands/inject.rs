//! `kraftlet inject`: the webhook's work, done to manifests.

use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs;
use crate::inject::manifests;
use crate::inject::manifests::Given;
use crate::inject::ours::Means;
use crate::inject::policy;
use crate::inject::refusal::Refusal;
use crate::inject::yaml::write;

/// Adds to StatefulSets and Pods what the webhook would add.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet inject -f events.yaml | kubectl apply -f -
  kustomize build . | kraftlet inject -f - > injected.yaml
  kraftlet inject --as-policy -n prod -f events.yaml | kubectl apply -f -

Objects that do not ask for kraftlet by the annotation kraftlet.dev/inject: \"true\" come out as they went in, to the
byte; so does what was injected before. Comments and order stay.
A policy does the same to pods as they are made, without a webhook. It is for one StatefulSet as its manifest and its
settings are now: print it again when they change. StatefulSets and settings are then not looked at as they are applied.
Exit codes: 0 done; 64 a manifest or its settings are refused, and nothing is printed.")]
pub struct Inject {
    /// Manifests; - is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Settings, where they are in no ConfigMap of the manifests
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The namespace of objects that do not say theirs
    #[arg(short, long)]
    namespace: Option<String>,
    /// kraftlet's image
    #[arg(long, env = "KRAFTLET_IMAGE", default_value = concat!("kraftlet:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// The CA of the signer's own certificate (ConfigMap kraftlet-serving-ca), where certificates come from the signer
    #[arg(long, value_name = "FILE")]
    signer_ca: Option<PathBuf>,
    /// Print MutatingAdmissionPolicies (Kubernetes 1.36) that do it to the pods, in place of the manifests
    #[arg(long)]
    as_policy: bool,
}

/// Manifests of a whole namespace have some megabytes at most.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Does it, and gives back what to print; warnings go to standard error.
pub fn run(args: &Inject) -> Result<String, Failure> {
    let settings = args.settings.as_deref().map(inputs::read_cluster).transpose()?.map(Arc::new);
    let signer_ca = args.signer_ca.as_deref().map(read).transpose()?;
    let means = Means { image: args.image.clone(), signer_ca };
    let given = Given { settings, namespace: args.namespace.clone(), means };
    let files = args.files.iter().map(|file| Ok((file.as_path(), read(file)?)));
    let files = files.collect::<Result<Vec<_>, Failure>>()?;
    if args.as_policy { as_policy(&files, &given) } else { injected(&files, &given) }
}

fn injected(files: &[(&Path, String)], given: &Given) -> Result<String, Failure> {
    let texts: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
    let (mut text, mut refused) = (String::new(), Vec::new());
    for ((file, _), injected) in files.iter().zip(manifests::inject_all(&texts, given)) {
        let injected = match injected {
            Ok(injected) => injected,
            Err(refusals) => {
                refused.extend(said(file, &refusals));
                continue;
            }
        };
        warn(file, &injected.warnings);
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        if !text.is_empty() && !injected.text.starts_with("---") {
            text.push_str("---\n");
        }
        text.push_str(&injected.text);
    }
    Failure::all(Exit::Usage, refused).map_or(Ok(text), Err)
}

fn as_policy(files: &[(&Path, String)], given: &Given) -> Result<String, Failure> {
    let texts: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
    let (mut all, mut refused) = (Vec::new(), Vec::new());
    for ((file, _), decided) in files.iter().zip(manifests::decide_all(&texts, given)) {
        match decided {
            Ok((decided, warnings)) => {
                warn(file, &warnings);
                all.extend(decided);
            }
            Err(refusals) => refused.extend(said(file, &refusals)),
        }
    }
    if let Some(failure) = Failure::all(Exit::Usage, refused) {
        return Err(failure);
    }
    if all.is_empty() {
        let message =
            "no StatefulSet in the manifests asks for kraftlet; there is nothing for a policy to do";
        return Err(Failure::new(Exit::Usage, "NothingAsks", message));
    }
    Ok(write::documents(&policy::policies(&all)))
}

fn warn(file: &Path, warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {}: {warning}", file.display());
    }
}

fn said(file: &Path, refusals: &[Refusal]) -> Vec<(String, &'static str)> {
    refusals.iter().map(|one| (format!("{}: {one}", file.display()), one.reason())).collect()
}

fn read(file: &Path) -> Result<String, Failure> {
    let unreadable = |error: io::Error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::Usage } else { Exit::Person };
        Failure::new(exit, "FileUnreadable", format!("cannot read {}: {error}", file.display()))
    };
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let open = std::fs::File::open(file).map_err(unreadable)?;
        open.take(MOST_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    }
    Ok(text)
}
