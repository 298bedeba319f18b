//! The stores of one channel: where its leaf, its chain and its trust are, as `ssl.*` says with the channel's prefix.

use std::fmt;
use std::path::PathBuf;

use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;
use crate::reload::node_properties::Secret;

/// What one channel's SslFactory is made from (org.apache.kafka.common.security.ssl.DefaultSslEngineFactory).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stores {
    /// Key and chain; a client that shows no certificate may have none.
    pub keystore: Option<Store>,
    /// Whom it trusts; `None`: the JVM's own list of public CAs.
    pub truststore: Option<Store>,
    /// Who makes its TLS engines.
    pub engine: EngineClass,
}

/// One store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// A file.
    File(FileStore),
    /// PEM text that stands in the properties themselves (KIP-651), key and chain one after the other: no file, so
    /// nothing that can be read again.
    Inline(Secret),
}

/// A store that is a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStore {
    /// Its path.
    pub location: PathBuf,
    /// What the properties say it is.
    pub form: Form,
    /// The password of the store.
    pub password: Option<Secret>,
    /// The password of the key in it, where that has one of its own.
    pub key_password: Option<Secret>,
}

/// The form of a store, as in `ssl.keystore.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// PEM (KIP-651).
    Pem,
    /// PKCS12. Java opens a JKS file under this name as well, and a PKCS12 file as JKS (`keystore.type.compat`).
    Pkcs12,
    /// Java's own, and Kafka's default.
    Jks,
    /// BCFKS and others that only a security provider knows.
    Other,
}

/// Who makes a channel's TLS engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineClass {
    /// Kafka itself, which reads the files when it is told to.
    Kafka,
    /// kraftlet's, which follows the files.
    Kraftlet,
    /// Somebody else's; what it does is not known.
    Foreign(String),
}

/// kraftlet's SslEngineFactory (KIP-519; images/ssl-engine).
pub const ENGINE_CLASS: &str = "dev.kraftlet.ssl.FileSslEngineFactory";

impl Stores {
    /// The stores of the channels that take their settings under this listener's prefix.
    pub fn of(properties: &NodeProperties, listener: &ListenerName) -> Self {
        let value = |key: &str| properties.of_listener(listener, key);
        let secret = |key: &str| value(key).map(Secret::new);
        let file = |store: &str| {
            let location = value(&format!("ssl.{store}.location"))?;
            Some(Store::File(FileStore {
                location: PathBuf::from(location),
                form: Form::named(value(&format!("ssl.{store}.type")).unwrap_or("JKS")),
                password: secret(&format!("ssl.{store}.password")),
                key_password: secret("ssl.key.password").filter(|_| store == "keystore"),
            }))
        };
        // DefaultSslEngineFactory looks for text first; text and file together are an error to it.
        let key = value("ssl.keystore.key").unwrap_or_default();
        let pair = value("ssl.keystore.certificate.chain").map(|chain| format!("{key}\n{chain}"));
        let anchors = value("ssl.truststore.certificates");
        Self {
            keystore: pair.map(|text| Store::Inline(Secret::new(text))).or_else(|| file("keystore")),
            truststore: anchors.map(|text| Store::Inline(Secret::new(text))).or_else(|| file("truststore")),
            engine: match value("ssl.engine.factory.class") {
                None => EngineClass::Kafka,
                Some(ENGINE_CLASS) => EngineClass::Kraftlet,
                Some("org.apache.kafka.common.security.ssl.DefaultSslEngineFactory") => EngineClass::Kafka,
                Some(class) => EngineClass::Foreign(class.to_owned()),
            },
        }
    }
}

impl Store {
    /// Its file.
    pub fn file(&self) -> Option<&FileStore> {
        match self {
            Self::File(file) => Some(file),
            Self::Inline(_) => None,
        }
    }
}

impl Form {
    /// `PEM` is compared as it is by Kafka, the others by Java in any case.
    fn named(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "PEM" => Self::Pem,
            "PKCS12" => Self::Pkcs12,
            "JKS" => Self::Jks,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pem => "PEM",
            Self::Pkcs12 => "PKCS12",
            Self::Jks => "JKS",
            Self::Other => "a form of another provider",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str, want: &str) {
        let properties = NodeProperties::parse(lines.as_bytes()).unwrap();
        let stores = Stores::of(&properties, &ListenerName::new("INTERNAL"));
        let shown = |store: Option<Store>| match store {
            None => "none".to_owned(),
            Some(Store::Inline(_)) => "inline".to_owned(),
            Some(Store::File(file)) => {
                let password = file.password.map_or("", |_| " with a password");
                let key_password = file.key_password.map_or("", |_| " with a key password");
                format!("{} {}{password}{key_password}", file.form, file.location.display())
            }
        };
        let found = format!("{}, {}, {:?}", shown(stores.keystore), shown(stores.truststore), stores.engine);
        assert_eq!(found, want, "{lines}");
    }

    #[test]
    fn a_listeners_own_stores_come_before_the_general_ones() {
        check("", "none, none, Kafka");
        check(
            "ssl.keystore.location=/a.jks\nssl.keystore.password=x",
            "JKS /a.jks with a password, none, Kafka",
        );
        check(
            "ssl.keystore.location=/a.jks\nssl.key.password=y\nlistener.name.internal.ssl.keystore.location=/b.pem\n\
             listener.name.internal.ssl.keystore.type=PEM\nssl.truststore.location=/t.p12\nssl.truststore.type=pkcs12",
            "PEM /b.pem with a key password, PKCS12 /t.p12, Kafka",
        );
        check(
            "ssl.keystore.location=/a\nssl.keystore.type=BCFKS",
            "a form of another provider /a, none, Kafka",
        );
    }

    #[test]
    fn text_in_the_properties_is_no_file() {
        check(
            "ssl.keystore.type=PEM\nssl.keystore.certificate.chain=text\nssl.keystore.key=text\n\
             ssl.truststore.certificates=text",
            "inline, inline, Kafka",
        );
    }

    #[test]
    fn our_engine_is_told_from_others() {
        check(
            &format!("listener.name.internal.ssl.engine.factory.class={ENGINE_CLASS}"),
            "none, none, Kraftlet",
        );
        check("ssl.engine.factory.class=org.x.Y", "none, none, Foreign(\"org.x.Y\")");
        check(
            "ssl.engine.factory.class=org.apache.kafka.common.security.ssl.DefaultSslEngineFactory",
            "none, none, Kafka",
        );
    }
}
