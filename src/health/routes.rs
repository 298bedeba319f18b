//! Which request is answered with what: the paths of the two ports, and who may post an order.
//!
//! The orders port listens on loopback only, but a port-forward brings it to a person's machine, where a page in
//! their browser could reach it. A browser cannot send [`ORDER_HEADER`] to another site without asking first, which
//! is never granted; it names the page in `Origin`; and where a name was made to resolve to loopback, that name is in
//! `Host`. Each of the three is enough to refuse it.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::Method;
use hyper::StatusCode;
use hyper::header;

use crate::health::order::FORGET_OLD_TRUST;
use crate::health::order::RENEW;
use crate::health::probe::Probe;

/// The port a request came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// For everybody, read only.
    Read,
    /// For whoever is on the machine, or has been let to it.
    Orders,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// One of the probes.
    Probe(Probe),
    /// To wait until this node may stop.
    Prestop,
    /// The snapshot as a page.
    Page,
    /// The snapshot.
    Status,
    /// The snapshot as metrics.
    Metrics,
    /// What has become of an order.
    OrderStatus(u64),
    /// An order to renew.
    Renew,
    /// An order to forget old trust.
    ForgetOldTrust,
}

/// A request that is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnswered {
    /// No such path at this port.
    #[error(
        "there is nothing at this path; the read port has /, /readyz, /livez, /startupz, /v1/status, /v1/safe-to-stop, /v1/prestop and /metrics, the orders port /v1/renew, /v1/forget-old-trust and /v1/orders/<number>"
    )]
    NotFound,
    /// The path is for another method.
    #[error("this path is for another method; want {0}")]
    MethodNotAllowed(&'static str),
    /// It may come from a page in a browser.
    #[error(
        "orders are not taken from a browser; want no Origin, a Host that is an address or localhost, and the header {ORDER_HEADER}: {ORDER_HEADER_VALUE}"
    )]
    FromABrowser,
    /// It is not what the settings of a pod have the kubelet send.
    #[error(
        "a stop is announced by the pod's preStop hook alone; want the header {ORDER_HEADER}: {PRESTOP_HEADER_VALUE}"
    )]
    NotAHook,
}

/// The header that every request at the orders port must have, and a preStop hook.
pub const ORDER_HEADER: &str = "x-kraftlet";

/// Its value.
pub const ORDER_HEADER_VALUE: &str = "order";

/// Its value in a preStop hook. It guards against strays and is no secret: to call without need announces a stop that
/// does not come.
pub const PRESTOP_HEADER_VALUE: &str = "prestop";

/// Where a preStop hook calls.
pub const PRESTOP: &str = "/v1/prestop";

/// Where an order's status is, without its number.
pub const ORDERS: &str = "/v1/orders/";

impl NotAnswered {
    /// The word for logs, Events and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed(_) => "MethodNotAllowed",
            Self::FromABrowser => "NotFromABrowser",
            Self::NotAHook => "NotAPreStopHook",
        }
    }

    /// HTTP's number for it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::FromABrowser | Self::NotAHook => StatusCode::FORBIDDEN,
        }
    }
}

/// What a request asks for.
pub fn route(door: Door, method: &Method, path: &str, headers: &HeaderMap) -> Result<Route, NotAnswered> {
    let route = match door {
        Door::Read => at_the_read_port(path).ok_or(NotAnswered::NotFound)?,
        Door::Orders => {
            if may_be_from_a_browser(headers) {
                return Err(NotAnswered::FromABrowser);
            }
            match path {
                RENEW => Route::Renew,
                FORGET_OLD_TRUST => Route::ForgetOldTrust,
                _ => Route::OrderStatus(order_number(path).ok_or(NotAnswered::NotFound)?),
            }
        }
    };
    let is_get = method == Method::GET;
    match route {
        Route::Renew | Route::ForgetOldTrust if method != Method::POST => {
            Err(NotAnswered::MethodNotAllowed("POST"))
        }
        Route::Prestop if !is_get => Err(NotAnswered::MethodNotAllowed("GET")),
        Route::Prestop if !has_header(headers, PRESTOP_HEADER_VALUE) => Err(NotAnswered::NotAHook),
        Route::Probe(_) | Route::Page | Route::Status | Route::Metrics | Route::OrderStatus(_)
            if !is_get && method != Method::HEAD =>
        {
            Err(NotAnswered::MethodNotAllowed("GET"))
        }
        Route::Renew
        | Route::ForgetOldTrust
        | Route::Prestop
        | Route::Probe(_)
        | Route::Page
        | Route::Status
        | Route::Metrics
        | Route::OrderStatus(_) => Ok(route),
    }
}

/// Whether a probe shall list what is well too: `?verbose`, as at Kubernetes' own servers.
pub fn is_verbose(query: Option<&str>) -> bool {
    let names = query.into_iter().flat_map(|query| query.split('&'));
    names.filter_map(|part| part.split('=').next()).any(|name| name == "verbose")
}

fn at_the_read_port(path: &str) -> Option<Route> {
    let probe = Probe::ALL.into_iter().find(|probe| probe.path() == path);
    probe.map(Route::Probe).or(match path {
        "/" => Some(Route::Page),
        "/v1/status" => Some(Route::Status),
        "/metrics" => Some(Route::Metrics),
        PRESTOP => Some(Route::Prestop),
        _ => None,
    })
}

fn order_number(path: &str) -> Option<u64> {
    let digits = path.strip_prefix(ORDERS)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn has_header(headers: &HeaderMap, value: &str) -> bool {
    headers.get(ORDER_HEADER).is_some_and(|found| found == value)
}

fn may_be_from_a_browser(headers: &HeaderMap) -> bool {
    let is_ours = has_header(headers, ORDER_HEADER_VALUE);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    !is_ours || headers.contains_key(header::ORIGIN) || !host.is_some_and(is_address_or_localhost)
}

/// `Host` without its port: an address, in brackets where it is of IPv6, or localhost.
fn is_address_or_localhost(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = without_port.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let name = bare.unwrap_or(without_port);
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        door: Door,
        method: Method,
        path: &str,
        given: &[(&'static str, &str)],
        want: Result<Route, NotAnswered>,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, value.parse().unwrap());
        }
        assert_eq!(route(door, &method, path, &headers), want, "{door:?} {method} {path} {given:?}");
    }

    #[test]
    fn the_read_port_shows_and_takes_nothing() {
        let wrong = NotAnswered::MethodNotAllowed("GET");
        for (method, path, want) in [
            (Method::GET, "/livez", Ok(Route::Probe(Probe::Livez))),
            (Method::GET, "/readyz", Ok(Route::Probe(Probe::Readyz))),
            (Method::HEAD, "/startupz", Ok(Route::Probe(Probe::Startupz))),
            (Method::GET, "/v1/safe-to-stop", Ok(Route::Probe(Probe::SafeToStop))),
            (Method::GET, "/", Ok(Route::Page)),
            (Method::HEAD, "/v1/status", Ok(Route::Status)),
            (Method::GET, "/metrics", Ok(Route::Metrics)),
            (Method::POST, "/v1/status", Err(wrong)),
            (Method::OPTIONS, "/livez", Err(wrong)),
            (Method::POST, "/v1/safe-to-stop", Err(wrong)),
            (Method::POST, RENEW, Err(NotAnswered::NotFound)),
            (Method::GET, "/v1/orders/1", Err(NotAnswered::NotFound)),
            (Method::GET, "/livez/", Err(NotAnswered::NotFound)),
            (Method::GET, "/../livez", Err(NotAnswered::NotFound)),
            (Method::GET, "", Err(NotAnswered::NotFound)),
        ] {
            check(Door::Read, method.clone(), path, &[], want);
            check(Door::Read, method, path, &[("origin", "http://example.com")], want);
        }
    }

    #[test]
    fn a_stop_is_announced_by_a_hook_alone() {
        let hook = (ORDER_HEADER, PRESTOP_HEADER_VALUE);
        for (method, given, want) in [
            (Method::GET, vec![hook], Ok(Route::Prestop)),
            (Method::GET, vec![hook, ("host", "10.0.0.7:9640")], Ok(Route::Prestop)),
            (Method::GET, vec![], Err(NotAnswered::NotAHook)),
            (Method::GET, vec![(ORDER_HEADER, ORDER_HEADER_VALUE)], Err(NotAnswered::NotAHook)),
            (Method::HEAD, vec![hook], Err(NotAnswered::MethodNotAllowed("GET"))),
            (Method::POST, vec![hook], Err(NotAnswered::MethodNotAllowed("GET"))),
        ] {
            check(Door::Read, method, PRESTOP, &given, want);
        }
        let ours = [(ORDER_HEADER, ORDER_HEADER_VALUE), ("host", "localhost")];
        check(Door::Orders, Method::GET, PRESTOP, &ours, Err(NotAnswered::NotFound));
    }

    #[test]
    fn verbose_is_a_question_and_not_a_path() {
        for (query, want) in [
            (None, false),
            (Some(""), false),
            (Some("verbose"), true),
            (Some("timeout=1s&verbose=true"), true),
            (Some("verboses"), false),
        ] {
            assert_eq!(is_verbose(query), want, "{query:?}");
        }
    }

    #[test]
    fn the_orders_port_has_its_own_paths() {
        let ours = [(ORDER_HEADER, ORDER_HEADER_VALUE), ("host", "127.0.0.1:9641")];
        for (method, path, want) in [
            (Method::POST, RENEW, Ok(Route::Renew)),
            (Method::POST, FORGET_OLD_TRUST, Ok(Route::ForgetOldTrust)),
            (Method::GET, "/v1/orders/17", Ok(Route::OrderStatus(17))),
            (Method::GET, RENEW, Err(NotAnswered::MethodNotAllowed("POST"))),
            (Method::DELETE, "/v1/orders/17", Err(NotAnswered::MethodNotAllowed("GET"))),
            (Method::GET, "/v1/orders/", Err(NotAnswered::NotFound)),
            (Method::GET, "/v1/orders/+1", Err(NotAnswered::NotFound)),
            (Method::GET, "/v1/orders/18446744073709551616", Err(NotAnswered::NotFound)),
            (Method::GET, "/v1/status", Err(NotAnswered::NotFound)),
        ] {
            check(Door::Orders, method, path, &ours, want);
        }
    }

    #[test]
    fn a_page_in_a_browser_cannot_give_orders() {
        let ours = (ORDER_HEADER, ORDER_HEADER_VALUE);
        let no = Err(NotAnswered::FromABrowser);
        for (given, want) in [
            (vec![ours, ("host", "localhost:9641")], Ok(Route::Renew)),
            (vec![ours, ("host", "[::1]:9641")], Ok(Route::Renew)),
            (vec![ours, ("host", "127.9.0.1")], Ok(Route::Renew)),
            (vec![("host", "localhost")], no),
            (vec![(ORDER_HEADER, "please"), ("host", "localhost")], no),
            (vec![ours, ("host", "localhost"), ("origin", "null")], no),
            (vec![ours, ("host", "localhost"), ("origin", "http://localhost:9641")], no),
            (vec![ours, ("host", "evil.example.com:9641")], no),
            (vec![ours, ("host", "127.0.0.1.example.com")], no),
            (vec![ours], no),
        ] {
            check(Door::Orders, Method::POST, RENEW, &given, want);
        }
    }
}
