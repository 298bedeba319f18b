//! The keys of server.properties that kraftlet owns.
//!
//! They carry identity, or have to agree with something else that kraftlet writes: a node with another `node.id` than
//! its disk, or a listener without the certificate that is watched, is a fault that shows much later. Whoever sets
//! one is told where the value comes from instead.

/// Why a person cannot set a key, or `None`.
pub fn problem(key: &str) -> Option<String> {
    if key.is_empty() || key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some(format!("{key:?} is no key; want one without blanks"));
    }
    if let Some(instead) = instead(key) {
        return Some(format!("`{key}` cannot be set here; its value comes from {instead}"));
    }
    // AbstractConfig.resolveConfigVariables instantiates providers before it resolves anything.
    (key.starts_with("config.providers.") && is_secret(key)).then(|| {
        format!("`{key}` cannot be kept out of server.properties: Kafka reads it before any config provider")
    })
}

/// Where the value of an owned key comes from; `None` when the key is free.
fn instead(key: &str) -> Option<&'static str> {
    let whole = match key {
        "process.roles" => "`pools[].roles`",
        "node.id" | "broker.id" => "`pools[].nodeIds` and the pod's ordinal",
        "controller.quorum.voters" | "controller.quorum.bootstrap.servers" => "`pools` and `quorum`",
        "listeners"
        | "advertised.listeners"
        | "listener.security.protocol.map"
        | "controller.listener.names"
        | "inter.broker.listener.name"
        | "security.inter.broker.protocol" => "`listeners`",
        "sasl.mechanism.inter.broker.protocol" | "sasl.mechanism.controller.protocol" => {
            "`listeners[].saslMechanisms`"
        }
        "sasl.enabled.mechanisms" => "`listeners[].saslMechanisms`",
        "log.dir" | "log.dirs" | "metadata.log.dir" => "`storage`",
        "authorizer.class.name" => "`authorizer`",
        "super.users" => "`superUsers`",
        "broker.rack" => "POD_ZONE",
        "cluster.id" => "`clusterId`",
        "broker.id.generation.enable"
        | "reserved.broker.max.id"
        | "control.plane.listener.name"
        | "zookeeper.connect" => "nowhere: it has no meaning in KRaft mode",
        _ => "",
    };
    if !whole.is_empty() {
        return Some(whole);
    }
    let unprefixed = match key.strip_prefix("listener.name.") {
        Some(rest) => rest.split_once('.').map_or("", |(_, key)| key),
        None => key,
    };
    match unprefixed {
        "sasl.enabled.mechanisms" => Some("`listeners[].saslMechanisms`"),
        "ssl.client.auth" => Some("`listeners[].clientAuth`"),
        "ssl.engine.factory.class" => Some("`reload`"),
        key if key.starts_with("ssl.keystore.")
            || key.starts_with("ssl.truststore.")
            || key == "ssl.key.password" =>
        {
            Some("`certificates`")
        }
        key if key.starts_with("kraftlet.") => Some("kraftlet itself"),
        _ => None,
    }
}

/// Whether the value of a key is a secret (the keys of type PASSWORD in Kafka's ConfigDefs, and by their names those
/// of plug-ins that Kafka does not know).
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "passphrase", "credential"].iter().any(|word| key.contains(word))
        || key.ends_with("sasl.jaas.config")
        || key.ends_with("master.key")
        || key.ends_with("private.key")
        || key.ends_with("token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_carry_identity_are_refused_by_name() {
        for key in [
            "node.id",
            "log.dirs",
            "ssl.keystore.location",
            "listener.name.client.ssl.truststore.type",
            "listener.name.client.ssl.engine.factory.class",
            "listener.name.client.kraftlet.log.dir",
        ] {
            assert!(instead(key).is_some(), "{key}");
        }
        for key in ["", " node.id", "a b", "config.providers.vault.param.password"] {
            assert!(problem(key).is_some(), "{key}");
        }
        for key in [
            "num.partitions",
            "ssl.cipher.suites",
            "listener.name.client.ssl.cipher.suites",
            "listener.name.",
        ] {
            assert_eq!(problem(key), None, "{key}");
        }
        assert_eq!(
            problem("node.id").unwrap(),
            "`node.id` cannot be set here; its value comes from `pools[].nodeIds` and the pod's ordinal"
        );
    }

    #[test]
    fn secrets_are_known_by_their_keys() {
        for key in [
            "listener.name.client.plain.sasl.jaas.config",
            "delegation.token.secret.key",
            "delegation.token.master.key",
            "some.plugin.PASSWORD",
        ] {
            assert!(is_secret(key), "{key}");
        }
        assert!(!is_secret("sasl.enabled.mechanisms"));
    }
}
