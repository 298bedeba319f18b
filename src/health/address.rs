//! Where a node's agent is: what it binds, and how others reach it.
//!
//! On a cluster every agent has the pod's addresses for itself and orders on 127.0.0.1, which other pods do not reach.
//! On one machine every node has a loopback address of its own, and so has its agent.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use crate::cluster::derived;
use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::cluster::template::TemplateError;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a node's agent binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The address of the read port; `None`: all of the pod's.
    pub read: Option<IpAddr>,
    /// The read port.
    pub read_port: u16,
    /// Address and port of orders, always on loopback.
    pub orders: SocketAddr,
}

/// Where the agent of `node` listens.
pub fn bound(cluster: &Cluster, node: &Node) -> Result<Bound, TemplateError> {
    let agent = &cluster.settings.agent;
    let own = own_loopback(cluster, node)?;
    let orders = own.unwrap_or(LOCALHOST);
    Ok(Bound { read: own, read_port: agent.port, orders: SocketAddr::new(orders, agent.orders_port) })
}

/// Where others read the status of `node`: `host:port`.
pub fn read_address(cluster: &Cluster, node: &Node) -> Result<String, TemplateError> {
    let host = match own_loopback(cluster, node)? {
        Some(own) => own.to_string(),
        None => cluster.render(&cluster.templates.host, node)?,
    };
    Ok(derived::host_port(&host, cluster.settings.agent.port))
}

/// Where the pod itself reads the status of its own agent.
pub fn own_read_address(cluster: &Cluster, node: &Node) -> Result<String, TemplateError> {
    let own = own_loopback(cluster, node)?.unwrap_or(LOCALHOST);
    Ok(SocketAddr::new(own, cluster.settings.agent.port).to_string())
}

/// The node's own loopback address, where it has one.
fn own_loopback(cluster: &Cluster, node: &Node) -> Result<Option<IpAddr>, TemplateError> {
    let host = cluster.bind_host(node)?;
    Ok(host.parse().ok().filter(IpAddr::is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::parse;

    fn check(settings: &str, want_read: &str, want_orders: &str, want_address: &str) {
        let text = format!(
            "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: demo\nclusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\n\
             kafkaVersion: 4.4.0\npools:\n- {{statefulSet: demo, roles: [broker, controller], replicas: 2}}\n{settings}"
        );
        let cluster = parse::parse("test", text.as_bytes()).unwrap();
        let nodes = cluster.nodes(Some("prod"));
        let node = &nodes[1];
        let bound = bound(&cluster, node).unwrap();
        let read = bound.read.map_or("all".to_owned(), |ip| ip.to_string());
        assert_eq!(format!("{read}:{}", bound.read_port), want_read);
        assert_eq!(bound.orders.to_string(), want_orders);
        assert_eq!(read_address(&cluster, node).unwrap(), want_address);
    }

    #[test]
    fn orders_are_on_loopback_whatever_the_rest_is() {
        check("", "all:9640", "127.0.0.1:9641", "demo-1.demo.prod.svc.cluster.local:9640");
        check(
            "bindHost: \"127.7.0.{ordinal+1}\"\nhost: \"127.7.0.{ordinal+1}\"\n",
            "127.7.0.2:9640",
            "127.7.0.2:9641",
            "127.7.0.2:9640",
        );
        check(
            "bindHost: 10.0.0.7\nagent: {port: 1, ordersPort: 2}\n",
            "all:1",
            "127.0.0.1:2",
            "demo-1.demo.prod.svc.cluster.local:1",
        );
        check("bindHost: \"::1\"\n", "::1:9640", "[::1]:9641", "[::1]:9640");
    }
}
