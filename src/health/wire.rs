//! How single values look in JSON: times, spans, words, lists.
//!
//! The types inside are no serde types, and some are none of ours; so each has one here that stands for it on the
//! wire, and a shape is a table of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;

use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::Reload;
use crate::health::recent::Recent;
use crate::health::text::Text;
use crate::health::text::rfc3339;
use crate::kafka::node_id::NodeId;
use crate::kafka::node_id::NodeIdError;
use crate::quorum::words::Words;

/// A value on the wire and the value inside that it stands for.
pub trait Wire<T> {
    /// What is written for `inside`.
    fn of(inside: &T) -> Self;

    /// What was read.
    fn inside(self) -> T;
}

/// Numbers and truths are written as they are.
macro_rules! as_they_are {
    ($($type:ty),+) => {
        $(impl Wire<$type> for $type {
            fn of(inside: &$type) -> $type {
                *inside
            }

            fn inside(self) -> $type {
                self
            }
        })+
    };
}

as_they_are!(bool, i32, i64, u32, u64);

impl<T, W: Wire<T>> Wire<Option<T>> for Option<W> {
    fn of(inside: &Option<T>) -> Self {
        inside.as_ref().map(W::of)
    }

    fn inside(self) -> Option<T> {
        self.map(W::inside)
    }
}

impl<T, W: Wire<T>> Wire<Vec<T>> for Vec<W> {
    fn of(inside: &Vec<T>) -> Self {
        inside.iter().map(W::of).collect()
    }

    fn inside(self) -> Vec<T> {
        self.into_iter().map(W::inside).collect()
    }
}

impl<T, W: Wire<T>> Wire<Recent<T>> for Vec<W> {
    fn of(inside: &Recent<T>) -> Self {
        inside.iter().map(W::of).collect()
    }

    fn inside(self) -> Recent<T> {
        self.into_iter().map(W::inside).collect()
    }
}

impl<T: Ord, W: Wire<T> + Ord> Wire<BTreeMap<T, u64>> for BTreeMap<W, u64> {
    fn of(inside: &BTreeMap<T, u64>) -> Self {
        inside.iter().map(|(key, count)| (W::of(key), *count)).collect()
    }

    fn inside(self) -> BTreeMap<T, u64> {
        self.into_iter().map(|(key, count)| (key.inside(), count)).collect()
    }
}

/// A value that is written as the text it prints, and read from it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Said<T>(T);

impl<T: Clone> Wire<T> for Said<T> {
    fn of(inside: &T) -> Self {
        Self(inside.clone())
    }

    fn inside(self) -> T {
        self.0
    }
}

impl<T: fmt::Display> Serialize for Said<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A sentence that was made here or came from another agent; either way it is shown as a [`Text`].
impl Wire<String> for Said<Text> {
    fn of(inside: &String) -> Self {
        Self(Text::new(inside))
    }

    fn inside(self) -> String {
        self.0.to_string()
    }
}

/// One of a closed set of words.
pub struct OneOf<T>(T);

impl<T: Words> Wire<T> for OneOf<T> {
    fn of(inside: &T) -> Self {
        Self(*inside)
    }

    fn inside(self) -> T {
        self.0
    }
}

impl<T: Words> Serialize for OneOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: Words> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = T::ALL.iter().find(|word| word.to_string() == text);
        found.map(|word| Self(*word)).ok_or_else(|| {
            let want: Vec<String> = T::ALL.iter().map(ToString::to_string).collect();
            D::Error::custom(format!("{:?} is unknown; want one of {}", Text::new(&text), want.join(" ")))
        })
    }
}

/// A time as RFC 3339 writes it.
pub struct Time(SystemTime);

impl Wire<SystemTime> for Said<Time> {
    fn of(inside: &SystemTime) -> Self {
        Self(Time(*inside))
    }

    fn inside(self) -> SystemTime {
        self.0.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rfc3339(self.0).fmt(f)
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<Timestamp>().map(|time| Self(time.into()))
    }
}

/// The words of the settings.
pub struct ReloadWord(Reload);

impl Wire<Reload> for Said<ReloadWord> {
    fn of(inside: &Reload) -> Self {
        Self(ReloadWord(*inside))
    }

    fn inside(self) -> Reload {
        self.0.0
    }
}

impl fmt::Display for ReloadWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Reload::Engine => "engine",
            Reload::AdminApi => "adminApi",
        })
    }
}

impl FromStr for ReloadWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "engine" => Ok(Self(Reload::Engine)),
            "adminApi" => Ok(Self(Reload::AdminApi)),
            _ => Err(format!("{:?} is no way to reload; want engine or adminApi", Text::new(text))),
        }
    }
}

/// `process.roles`, as Kafka's properties have it.
pub struct RolesWord(ProcessRoles);

impl Wire<ProcessRoles> for Said<RolesWord> {
    fn of(inside: &ProcessRoles) -> Self {
        Self(RolesWord(*inside))
    }

    fn inside(self) -> ProcessRoles {
        self.0.0
    }
}

impl fmt::Display for RolesWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RolesWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [ProcessRoles::Broker, ProcessRoles::Controller, ProcessRoles::Combined];
        let found = all.into_iter().find(|roles| roles.to_string() == text);
        found.map(Self).ok_or_else(|| format!("{:?} are no process.roles", Text::new(text)))
    }
}

/// A span in milliseconds.
#[derive(Serialize, Deserialize)]
pub struct Milliseconds(u64);

impl Wire<Duration> for Milliseconds {
    fn of(inside: &Duration) -> Self {
        Self(u64::try_from(inside.as_millis()).unwrap_or(u64::MAX))
    }

    fn inside(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A node id as a number.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(into = "i32", try_from = "i32")]
pub struct Number(NodeId);

impl Wire<NodeId> for Number {
    fn of(inside: &NodeId) -> Self {
        Self(*inside)
    }

    fn inside(self) -> NodeId {
        self.0
    }
}

impl From<Number> for i32 {
    fn from(number: Number) -> Self {
        number.0.get()
    }
}

impl TryFrom<i32> for Number {
    type Error = NodeIdError;

    fn try_from(id: i32) -> Result<Self, NodeIdError> {
        NodeId::try_from(id).map(Self)
    }
}

/// A shape of JSON and the value inside, field by field, both ways.
macro_rules! shape {
    ($shape:ident = $inside:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct $shape {
            $($(#[$attribute])* $field: $type,)+
        }

        impl $crate::health::wire::Wire<$inside> for $shape {
            fn of(inside: &$inside) -> Self {
                Self { $($field: $crate::health::wire::Wire::of(&inside.$field),)+ }
            }

            fn inside(self) -> $inside {
                $inside { $($field: self.$field.inside(),)+ }
            }
        }
    };
}
pub(crate) use shape;
