//! What to do next: commands that exist, change nothing that is well, and can be pasted into a shell.
//!
//! Whoever runs the doctor in a pod came by kubectl and has it; on a machine where all nodes have a loopback address
//! there is only kraftlet itself.

use std::fmt;

/// Where the doctor runs, as far as commands depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the pod of this name.
    Pod {
        /// The pod.
        own: String,
        /// Its namespace, where that is known.
        namespace: Option<String>,
    },
    /// On the machine that all nodes run on, with this settings file.
    Machine {
        /// Its path.
        settings: String,
    },
    /// Outside, with kubectl.
    Cluster {
        /// The flags that lead kubectl to the cluster's namespace, each after a blank.
        flags: String,
        /// The Kafka cluster's name.
        cluster: String,
    },
}

/// One word of a shell, in quotes where it needs them.
struct Quoted<'a>(&'a str);

impl Place {
    /// What every agent says.
    pub fn status(&self) -> String {
        match self {
            Self::Pod { .. } => "kraftlet status --all".to_owned(),
            Self::Machine { settings } => format!("kraftlet status --all --settings {}", Quoted(settings)),
            Self::Cluster { flags, cluster } => format!("kubectl kraftlet status{flags} --cluster {cluster}"),
        }
    }

    /// Restarts what has to be restarted. It waits until that is safe.
    pub fn restart(&self) -> String {
        match self {
            Self::Cluster { flags, cluster } => {
                format!("kubectl kraftlet restart{flags} --cluster {cluster} --only-pending")
            }
            Self::Pod { .. } | Self::Machine { .. } => self.status(),
        }
    }

    /// What the cluster's controllers have tried, and why it did not come to be.
    pub fn events(&self) -> String {
        match self {
            Self::Cluster { flags, .. } => format!("kubectl events{flags}"),
            Self::Pod { namespace: Some(namespace), .. } => {
                format!("kubectl events --namespace {}", Quoted(namespace))
            }
            Self::Pod { namespace: None, .. } | Self::Machine { .. } => self.status(),
        }
    }

    /// What `init` would do for a node, or why it refuses.
    pub fn explain(&self, pod: &str) -> String {
        match self {
            Self::Pod { own, .. } if own == pod => "kraftlet explain".to_owned(),
            Self::Pod { .. } => self.describe(pod),
            Self::Machine { settings } => {
                format!("kraftlet explain --pod-name {} --settings {}", Quoted(pod), Quoted(settings))
            }
            Self::Cluster { flags, cluster } => {
                format!("kubectl kraftlet explain{flags} --cluster {cluster} --pod {}", Quoted(pod))
            }
        }
    }

    /// Has the node's agent fetch, install, reload and verify.
    pub fn renew(&self, pod: &str) -> String {
        match self {
            Self::Pod { own, .. } if own == pod => "kraftlet renew".to_owned(),
            Self::Pod { .. } => self.describe(pod),
            Self::Machine { settings } => {
                format!("kraftlet renew --pod-name {} --settings {}", Quoted(pod), Quoted(settings))
            }
            Self::Cluster { flags, cluster } => {
                format!("kubectl kraftlet renew{flags} --cluster {cluster} --pod {} --wait", Quoted(pod))
            }
        }
    }

    /// Why a node's containers do not run: events, exit codes, last words.
    pub fn describe(&self, pod: &str) -> String {
        match self {
            Self::Pod { namespace: Some(namespace), .. } => {
                format!("kubectl describe pod {} --namespace {}", Quoted(pod), Quoted(namespace))
            }
            Self::Pod { namespace: None, .. } => format!("kubectl describe pod {}", Quoted(pod)),
            Self::Machine { .. } => self.explain(pod),
            Self::Cluster { flags, .. } => format!("kubectl describe pod {}{flags}", Quoted(pod)),
        }
    }

    /// This again, of a node.
    pub fn doctor(&self, pod: &str) -> String {
        match self {
            Self::Pod { own, .. } if own == pod => "kraftlet doctor".to_owned(),
            Self::Pod { .. } => self.describe(pod),
            Self::Machine { settings } => {
                format!("kraftlet doctor --pod-name {} --settings {}", Quoted(pod), Quoted(settings))
            }
            Self::Cluster { flags, .. } => {
                format!("kubectl exec {}{flags} --container kraftlet -- kraftlet doctor", Quoted(pod))
            }
        }
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "'{}'", self.0.replace('\'', r"'\''"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_where_the_doctor_ran() {
        let pod = Place::Pod { own: "demo-0".to_owned(), namespace: Some("prod".to_owned()) };
        let machine = Place::Machine { settings: "/it's here/cluster.yaml".to_owned() };
        let file = r"'/it'\''s here/cluster.yaml'";
        for (command, want) in [
            (pod.status(), "kraftlet status --all".to_owned()),
            (pod.explain("demo-0"), "kraftlet explain".to_owned()),
            (pod.renew("demo-1"), "kubectl describe pod demo-1 --namespace prod".to_owned()),
            (pod.doctor("demo-0"), "kraftlet doctor".to_owned()),
            (machine.status(), format!("kraftlet status --all --settings {file}")),
            (machine.describe("demo-1"), format!("kraftlet explain --pod-name demo-1 --settings {file}")),
            (machine.renew("demo-1"), format!("kraftlet renew --pod-name demo-1 --settings {file}")),
            (machine.doctor("demo-1"), format!("kraftlet doctor --pod-name demo-1 --settings {file}")),
        ] {
            assert_eq!(command, want);
        }
        let cluster = Place::Cluster { flags: " --namespace prod".to_owned(), cluster: "events".to_owned() };
        for (command, want) in [
            (cluster.status(), "kubectl kraftlet status --namespace prod --cluster events"),
            (cluster.restart(), "kubectl kraftlet restart --namespace prod --cluster events --only-pending"),
            (cluster.events(), "kubectl events --namespace prod"),
            (cluster.describe("events-1"), "kubectl describe pod events-1 --namespace prod"),
            (
                cluster.renew("events-1"),
                "kubectl kraftlet renew --namespace prod --cluster events --pod events-1 --wait",
            ),
            (
                cluster.explain("events-1"),
                "kubectl kraftlet explain --namespace prod --cluster events --pod events-1",
            ),
            (
                cluster.doctor("events-1"),
                "kubectl exec events-1 --namespace prod --container kraftlet -- kraftlet doctor",
            ),
        ] {
            assert_eq!(command, want);
        }
    }
}
