//! Manifests in, manifests out: the same decision as the webhook's, for those who keep them in git.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::model::Cluster;
use crate::inject::admit;
use crate::inject::asked;
use crate::inject::asked::Asked;
use crate::inject::judge;
use crate::inject::ours::Means;
use crate::inject::plan;
use crate::inject::plan::Plan;
use crate::inject::plan::Set;
use crate::inject::policy::Decided;
use crate::inject::refusal::Refusal;
use crate::inject::subject::Subject;
use crate::inject::subject::annotation;
use crate::inject::subject::text;
use crate::inject::words;
use crate::inject::yaml::documents;
use crate::inject::yaml::edit;
use crate::inject::yaml::tree;

/// Manifests with what was added, and what their owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The whole text.
    pub text: String,
    /// How many objects were changed.
    pub changed: usize,
    /// Sentences, each with the object it is about.
    pub warnings: Vec<String>,
}

/// What is known beside the manifests.
#[derive(Debug, Default)]
pub struct Given {
    /// Settings that are in none of the manifests.
    pub settings: Option<Arc<Cluster>>,
    /// The namespace of objects that do not say theirs.
    pub namespace: Option<String>,
    /// What is added.
    pub means: Means,
}

/// What is decided in a file, with warnings; or all refusals.
pub type AllDecided = Result<(Vec<Decided>, Vec<String>), Vec<Refusal>>;

/// Adds kraftlet to every StatefulSet and Pod that asks for it; all refusals come at once.
pub fn inject(manifests: &str, given: &Given) -> Result<Injected, Vec<Refusal>> {
    let documents = read(manifests);
    injected(&documents, &settings(&documents, given), given)
}

/// The same for several files, of which one may have the settings of another's StatefulSet.
pub fn inject_all(files: &[&str], given: &Given) -> Vec<Result<Injected, Vec<Refusal>>> {
    let files: Vec<Vec<Document<'_>>> = files.iter().map(|file| read(file)).collect();
    let settings = settings(files.iter().flatten(), given);
    files.iter().map(|documents| injected(documents, &settings, given)).collect()
}

/// What is decided for every StatefulSet that asks for kraftlet and has not got it, for a policy to do it to its pods; with
/// warnings. Each has to say its namespace.
pub fn decide_all(files: &[&str], given: &Given) -> Vec<AllDecided> {
    let files: Vec<Vec<Document<'_>>> = files.iter().map(|file| read(file)).collect();
    let settings = settings(files.iter().flatten(), given);
    files.iter().map(|documents| decided(documents, &settings, given)).collect()
}

fn read(manifests: &str) -> Vec<Document<'_>> {
    documents::split(manifests).into_iter().map(Document::read).collect()
}

fn injected(
    documents: &[Document<'_>],
    settings: &Settings,
    given: &Given,
) -> Result<Injected, Vec<Refusal>> {
    let mut injected = Injected { text: String::new(), changed: 0, warnings: Vec::new() };
    let mut refused = Vec::new();
    for document in documents {
        injected.warnings.extend(document.passed_over());
        match document.inject(settings, given, &mut injected.warnings) {
            Ok(Some((text, changed))) => {
                injected.text.push_str(&text);
                injected.changed += changed;
            }
            Ok(None) => injected.text.push_str(document.text),
            Err(refusal) => refused.push(refusal),
        }
    }
    if refused.is_empty() { Ok(injected) } else { Err(refused) }
}

fn decided(documents: &[Document<'_>], settings: &Settings, given: &Given) -> AllDecided {
    let (mut decided, mut warnings, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for document in documents {
        warnings.extend(document.passed_over());
        if let Err(refusal) = document.asks_unread() {
            refused.push(refusal);
        }
        for object in document.objects() {
            match object.decide(settings, given, &mut warnings) {
                Ok(one) => decided.extend(one),
                Err(refusal) => refused.push(refusal),
            }
        }
    }
    if refused.is_empty() { Ok((decided, warnings)) } else { Err(refused) }
}

struct Document<'a> {
    text: &'a str,
    value: Result<Option<Value>, tree::TreeError>,
}

/// An object in a document, and the JSON pointer to it: a `List` has several.
struct Object<'a> {
    root: String,
    value: &'a Value,
}

type Settings = BTreeMap<(String, String), Result<Arc<Cluster>, Refusal>>;

impl<'a> Document<'a> {
    fn read(text: &'a str) -> Self {
        Self { text, value: tree::parse(text).map(|tree| tree.map(|node| node.value())) }
    }

    fn objects(&self) -> Vec<Object<'_>> {
        let Ok(Some(value)) = &self.value else { return Vec::new() };
        let is_list = text(value, "kind").is_some_and(|kind| kind.ends_with("List"));
        match value.get("items").and_then(Value::as_array).filter(|_| is_list) {
            Some(items) => items
                .iter()
                .enumerate()
                .map(|(index, value)| Object { root: format!("/items/{index}"), value })
                .collect(),
            None => vec![Object { root: String::new(), value }],
        }
    }

    /// Somebody else's document, that kubectl can read and we need not, is let pass; not one that asks for kraftlet.
    fn asks_unread(&self) -> Result<(), Refusal> {
        match &self.value {
            Err(error) if self.text.contains(words::INJECT) => {
                Err(Refusal::new("ManifestUnreadable", error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// What somebody may have meant for us and is let pass, in a sentence each.
    fn passed_over(&self) -> Vec<String> {
        match &self.value {
            Err(error) if self.text.contains(words::SETTINGS_KEY) => vec![format!(
                "a document with {} cannot be read, so no settings are taken from it: {error}",
                words::SETTINGS_KEY
            )],
            _ => self.objects().iter().filter_map(Object::asks_in_vain).collect(),
        }
    }

    /// The text with what was added, and to how many objects; `None` where there is nothing to do.
    fn inject(
        &self,
        settings: &Settings,
        given: &Given,
        warnings: &mut Vec<String>,
    ) -> Result<Option<(String, usize)>, Refusal> {
        self.asks_unread()?;
        let mut changed: Option<(String, usize)> = None;
        for object in self.objects() {
            let Some((root, plan)) = object.plan(settings, given)? else { continue };
            let name = object.name();
            warnings.extend(plan.warnings.iter().map(|warning| format!("{name}: {warning}")));
            if plan.operations.is_empty() {
                continue;
            }
            let (text, count) = changed.unwrap_or_else(|| (self.text.to_owned(), 0));
            let text = edit::apply(&text, &root, &plan.operations)
                .map_err(|error| Refusal::new("ManifestUnreadable", format!("{name}: {error}")))?;
            changed = Some((text, count + 1));
        }
        Ok(changed)
    }
}

impl Object<'_> {
    fn name(&self) -> String {
        let name = self.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
        format!("{} {name}", text(self.value, "kind").unwrap_or("object"))
    }

    fn namespace<'a>(&'a self, given: &'a Given) -> &'a str {
        let own = self.value.pointer("/metadata/namespace").and_then(Value::as_str);
        own.or(given.namespace.as_deref()).unwrap_or_default()
    }

    /// Says that something else than a StatefulSet or a Pod asks for kraftlet, such as a Deployment.
    fn asks_in_vain(&self) -> Option<String> {
        if matches!(text(self.value, "kind"), Some("StatefulSet" | "Pod")) {
            return None;
        }
        let mut templates = ["/spec/template", "/spec/jobTemplate/spec/template"]
            .iter()
            .filter_map(|at| self.value.pointer(at));
        let asks =
            |template: &Value| annotation(template, words::INJECT).is_some_and(|value| value != "false");
        templates.any(asks).then(|| {
            format!(
                "{}: its template asks for kraftlet, which is added to StatefulSets and Pods only; it stays as it is",
                self.name()
            )
        })
    }

    /// What a policy has to do to the pods of a StatefulSet.
    fn decide(
        &self,
        settings: &Settings,
        given: &Given,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Decided>, Refusal> {
        let Some((_, plan)) = self.plan(settings, given)? else { return Ok(None) };
        let name = self.name();
        if plan.operations.is_empty() || text(self.value, "kind") != Some("StatefulSet") {
            warnings.push(format!(
                "{name}: nothing is left to do for a policy, which is for StatefulSets not yet injected"
            ));
            return Ok(None);
        }
        warnings.extend(plan.warnings.iter().map(|warning| format!("{name}: {warning}")));
        let namespace = self.namespace(given).to_owned();
        if namespace.is_empty() {
            let message =
                format!("{name}: a policy is for the pods of one namespace; name it with --namespace");
            return Err(Refusal::new("NamespaceUnknown", message));
        }
        let subject = Subject::find(self.value.pointer("/spec/template").unwrap_or(&Value::Null))?;
        let (container, pointer) = (subject.name().to_owned(), subject.pointer());
        let set = self.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(Decided { namespace, set, container, pointer, operations: plan.operations }))
    }

    /// What has to be done to the pod in it, and where that is; `None` where it has none that asks.
    fn plan(&self, settings: &Settings, given: &Given) -> Result<Option<(String, Plan)>, Refusal> {
        let template = match text(self.value, "kind") {
            Some("StatefulSet") => "/spec/template",
            Some("Pod") => "",
            _ => return Ok(None),
        };
        let Some(pod) = self.value.pointer(template) else { return Ok(None) };
        let said = |refusal: Refusal| Refusal::new(refusal.reason(), format!("{}: {refusal}", self.name()));
        let asked = asked::asked(pod.get("metadata").unwrap_or(&Value::Null)).map_err(said)?;
        let plan = match asked {
            Asked::Nothing => return Ok(None),
            Asked::Attach { server_properties, kafka_version, cluster } => {
                let cluster = cluster.as_deref().or_else(|| admit::set_of(self.value));
                // Which container is Kafka's is written down with it.
                plan::attach(pod, cluster, &server_properties, kafka_version.as_deref(), &given.means)
            }
            Asked::Manage { cluster } => {
                let namespace = self.namespace(given);
                let of_manifests = settings.get(&(namespace.to_owned(), cluster.clone())).cloned();
                let found = given.settings.clone().map(Ok).or(of_manifests);
                let found = found.unwrap_or_else(|| Err(admit::no_settings(namespace, &cluster)));
                found.and_then(|found| self.manage(pod, &cluster, &found, given))
            }
        };
        plan.map(|plan| Some((format!("{}{template}", self.root), plan))).map_err(said)
    }

    fn manage(
        &self,
        pod: &Value,
        config_map: &str,
        cluster: &Cluster,
        given: &Given,
    ) -> Result<Plan, Refusal> {
        let namespace = Some(self.namespace(given)).filter(|namespace| !namespace.is_empty());
        if text(self.value, "kind") == Some("Pod") {
            let set = admit::owner(self.value, namespace)?;
            return plan::manage(pod, set, config_map, cluster, &given.means);
        }
        let judged = judge::stateful_set(self.value, namespace, config_map, cluster, &given.means)?.warnings;
        let name = self.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let service = self.value.pointer("/spec/serviceName").and_then(Value::as_str);
        let plan = plan::manage(pod, Set { name, service, namespace }, config_map, cluster, &given.means)?;
        Ok(Plan { warnings: judged, ..plan })
    }
}

/// The settings in the manifests' own ConfigMaps. Only those that are asked for need to be right.
fn settings<'a>(documents: impl IntoIterator<Item = &'a Document<'a>>, given: &Given) -> Settings {
    let mut settings = Settings::new();
    for document in documents {
        for object in document.objects() {
            if text(object.value, "kind") == Some("ConfigMap") {
                let name = object.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                let key = (object.namespace(given).to_owned(), name.to_owned());
                settings.insert(key, judge::settings(object.value).map(Arc::new));
            }
        }
    }
    settings
}
