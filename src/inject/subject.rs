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
    profile: Option<Profile>,
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
    /// Finds Kafka's container: the one that an annotation names, the only one, or the one called `kafka`.
    pub fn find(pod: &'a Value) -> Result<Self, Refusal> {
        let containers = list(pod.get("spec"), "containers");
        let named = annotation(pod, words::CONTAINER);
        let wanted = named.unwrap_or("kafka");
        let found = match (named, containers) {
            (None, [only]) => Some((0, only)),
            _ => containers.iter().enumerate().find(|(_, one)| text(one, "name") == Some(wanted)),
        };
        let Some((index, container)) = found else {
            let names: Vec<&str> = containers.iter().filter_map(|one| text(one, "name")).collect();
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
        Ok(Self { pod, container, index, profile })
    }

    /// The pod.
    pub fn pod(&self) -> &'a Value {
        self.pod
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
