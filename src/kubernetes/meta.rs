//! What every object has: a name, labels, and who owns it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// `ObjectMeta`, as far as it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// `name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `namespace`; empty where the kind has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// `uid`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// `resourceVersion`: what a replacement or a watch goes on from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// `labels`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `annotations`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `ownerReferences`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<Owner>,
    /// `creationTimestamp`, to the second, by the API server's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
    /// `deletionTimestamp`: set once somebody has deleted it, while it still ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
}

/// An owner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// The owner's `apiVersion`.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it is the one that controls the object.
    pub controller: bool,
}

/// A list of objects.
#[derive(Debug, Clone, Deserialize)]
pub struct List<T> {
    /// Where a watch goes on.
    #[serde(default)]
    pub metadata: Meta,
    /// The objects.
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
}

impl Meta {
    /// For an object that is to be made.
    pub fn named(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), ..Self::default() }
    }

    /// The StatefulSet that controls this object.
    pub fn stateful_set(&self) -> Option<&Owner> {
        self.owner_references
            .iter()
            .find(|owner| owner.controller && owner.kind == "StatefulSet" && owner.api_version == "apps/v1")
    }
}
