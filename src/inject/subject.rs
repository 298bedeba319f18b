//! The pod that is looked at: its Kafka container, and what is known of that.

use serde_json::Value;

use crate::inject::profile::Profile;
use crate::inject::refusal::Refusal;
use crate::inject::words;

/// A Pod, or the template of one: whatever has `metadata` and `spec`.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pod: &'a Value,
    container: &'a Value,
    index: usize,
    known_by: KnownBy,
    profile: Option<Profile>,
}

/// How Kafka's container is known among others, from the surest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// An annotation names it.
    Annotation,
    /// It is called `kafka`.
    Name,
    /// It was injected before: it mounts the run folder.
    RunVolume,
    /// Its image is the only one that is a Kafka.
    Image,
    /// There is no other, yet: another webhook may add one.
    BeingAlone,
}

/// Who Kafka runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// `runAsUser`
    pub uid: u64,
    /// A group that may write the disks.
    pub gid: u64,
}

impl<'a> Subject<'a> {
    /// Finds Kafka's container. Other webhooks add containers, before us or between two of our turns, and it has to be the
    /// same one then.
    pub fn find(pod: &'a Value) -> Result<Self, Refusal> {
        let containers = list(pod.get("spec"), "containers");
        let Some((known_by, index, container)) = known(pod, containers) else {
            let names: Vec<&str> = containers.iter().filter_map(|one| text(one, "name")).collect();
            let wanted = annotation(pod, words::CONTAINER).unwrap_or(KAFKA);
            let message = format!(
                "no container is called {wanted:?}, there are {names:?}; name Kafka's with the annotation {}",
                words::CONTAINER
            );
            return Err(Refusal::new("ContainerUnknown", message));
        };
        let profile = match annotation(pod, words::IMAGE_PROFILE) {
            Some(name) => {
                let wrong = |want: String| Refusal::annotation(words::IMAGE_PROFILE, name, &want);
                Some(name.parse().map_err(wrong)?)
            }
            None => Profile::of_image(text(container, "image").unwrap_or_default()),
        };
        Ok(Self { pod, container, index, known_by, profile })
    }

    /// How it was found.
    pub fn known_by(&self) -> KnownBy {
        self.known_by
    }

    /// Kafka's container.
    pub fn container(&self) -> &'a Value {
        self.container
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        text(self.container, "name").unwrap_or_default()
    }

    /// Where it is in the pod, as a JSON pointer.
    pub fn pointer(&self) -> String {
        format!("/spec/containers/{}", self.index)
    }

    /// One of its lists.
    pub fn list(&self, key: &str) -> &'a [Value] {
        list(Some(self.container), key)
    }

    /// What starts Kafka in this image.
    pub fn start(&self) -> Result<&'static str, Refusal> {
        let unknown = || self.unknown("what starts Kafka in it", "give the container a `command`");
        self.profile.map(|profile| profile.facts().start).ok_or_else(unknown)
    }

    /// Who Kafka runs as: what the container says, then the pod, then the profile.
    pub fn user(&self) -> Result<User, Refusal> {
        let of = |owner: Option<&Value>, key: &str| {
            owner.and_then(|one| one.get("securityContext")).and_then(|one| one.get(key)?.as_u64())
        };
        let spec = self.pod.get("spec");
        let said = |key| of(Some(self.container), key).or_else(|| of(spec, key));
        let facts = self.profile.map(Profile::facts);
        let uid = said("runAsUser").or(facts.map(|facts| facts.uid.into()));
        let uid = uid.ok_or_else(|| self.unknown("its user", "give the container a `runAsUser`"))?;
        let gid = of(spec, "fsGroup").or_else(|| said("runAsGroup")).or(facts.map(|facts| facts.gid.into()));
        if uid == 0 {
            let message = format!("container {} runs as root; want a `runAsUser` above 0", self.name());
            return Err(Refusal::new("RunsAsRoot", message));
        }
        Ok(User { uid, gid: gid.unwrap_or(uid) })
    }

    /// Whether the pod's quality of service is Guaranteed (k8s.io/kubernetes/pkg/apis/core/v1/helper/qos): each container has
    /// limits for CPU and memory and requests as much. Quantities are compared as they are written.
    pub fn is_guaranteed(&self) -> bool {
        let spec = self.pod.get("spec");
        let mut containers = list(spec, "containers").iter().chain(list(spec, "initContainers"));
        containers.all(|one| {
            ["cpu", "memory"].iter().all(|what| {
                let of = |kind| one.get("resources").and_then(|all| all.get(kind)?.get(what));
                of("limits").is_some_and(|limit| of("requests").is_none_or(|request| request == limit))
            })
        })
    }

    fn unknown(&self, what: &str, instead: &str) -> Refusal {
        let image = text(self.container, "image").unwrap_or_default();
        let message = format!(
            "container {}: the image {image:?} is not known, nor {what}; {instead}, or say by the annotation {} how the \
             image is made",
            self.name(),
            words::IMAGE_PROFILE
        );
        Refusal::new("ImageUnknown", message)
    }
}

/// What Kafka's container is called where nobody says another name.
const KAFKA: &str = "kafka";

fn known<'a>(pod: &Value, containers: &'a [Value]) -> Option<(KnownBy, usize, &'a Value)> {
    let first = |known_by, is_it: &dyn Fn(&Value) -> bool| {
        // The API server refuses a container without a name, and nothing can be said of one.
        let has_name = |one: &Value| text(one, "name").is_some_and(|name| !name.is_empty());
        let found = containers.iter().enumerate().find(|(_, one)| is_it(one) && has_name(one));
        found.map(|(index, container)| (known_by, index, container))
    };
    if let Some(name) = annotation(pod, words::CONTAINER) {
        return first(KnownBy::Annotation, &|one| text(one, "name") == Some(name));
    }
    let only = |known_by, is_it: &dyn Fn(&Value) -> bool| {
        let is_only = containers.iter().filter(|one| is_it(one)).count() == 1;
        first(known_by, is_it).filter(|_| is_only)
    };
    let is_kafka = |one: &Value| text(one, "image").and_then(Profile::of_image).is_some();
    first(KnownBy::Name, &|one| text(one, "name") == Some(KAFKA))
        .or_else(|| {
            first(KnownBy::RunVolume, &|one| has_named(list(Some(one), "volumeMounts"), words::RUN_VOLUME))
        })
        .or_else(|| only(KnownBy::Image, &is_kafka))
        .or_else(|| only(KnownBy::BeingAlone, &|_| true))
}

/// An annotation of a pod.
pub fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

/// A text in an object.
pub fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

/// A list in an object; what is missing is empty.
pub fn list<'a>(object: Option<&'a Value>, key: &str) -> &'a [Value] {
    object.and_then(|object| object.get(key)?.as_array()).map_or(&[], Vec::as_slice)
}

/// Whether a list has an item of this name.
pub fn has_named(items: &[Value], name: &str) -> bool {
    items.iter().any(|item| text(item, "name") == Some(name))
}
