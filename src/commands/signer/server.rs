//! The signer's port: certificates, trust, and whether it is ready.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header;
use hyper::header::HeaderValue;
use serde::Serialize;
use tokio::time::timeout;

use crate::causes::chain;
use crate::certificates::signing;
use crate::certificates::signing::Refused;
use crate::health::connections::io::Answer;
use crate::health::connections::io::Caller;
use crate::health::connections::io::READ_WITHIN;
use crate::pki::csr;
use crate::signer::io::Office;
use crate::signer::refusal::Refusal;

/// Answers one request.
pub async fn answer(office: Arc<Office>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    // Every connection says whom it is from; of nobody nothing is taken.
    let from = head.extensions.get::<Caller>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |caller| caller.0);
    let token = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).filter(|token| !token.is_empty());
    let certificate = certificate(head.uri.query().unwrap_or_default());
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/livez") => text(StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET, "/readyz") if office.leads() => text(StatusCode::OK, "leads\n".to_owned()),
        // Ready to lead, and to say that it does not: whoever asks then asks again, and meets the other.
        (&Method::GET, "/readyz") => text(StatusCode::OK, "another replica leads\n".to_owned()),
        (&Method::GET, "/metrics") => text(StatusCode::OK, office.metrics()),
        (&Method::POST, signing::SIGN) => {
            let Some(csr) = whole(body).await else {
                return refused(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "RequestTooLarge",
                    "the request is too long or too late",
                );
            };
            told(office.sign(token, from, certificate, &csr).await)
        }
        (&Method::GET, signing::TRUST) => told(office.trust(token, from, certificate).await),
        (_, signing::SIGN | signing::TRUST) => {
            refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "want POST /v1/sign or GET /v1/trust")
        }
        _ => refused(StatusCode::NOT_FOUND, "NotFound", "there is nothing here"),
    }
}

/// `certificate=` of a query; `node` where it says nothing. Names of certificates need no escapes.
fn certificate(query: &str) -> &str {
    let named = query.split('&').find_map(|pair| pair.strip_prefix("certificate="));
    named.unwrap_or("node")
}

async fn whole(body: Incoming) -> Option<Bytes> {
    let limited = Limited::new(body, csr::MAX_BYTES).collect();
    Some(timeout(READ_WITHIN, limited).await.ok()?.ok()?.to_bytes())
}

fn told(done: Result<impl Serialize, Refusal>) -> Answer {
    match done {
        Ok(signed) => json(StatusCode::OK, &signed),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = refused(status, refusal.reason(), &chain(&refusal));
            if let Refusal::TooMany { after_s } = refusal {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after_s));
            }
            answer
        }
    }
}

fn refused(status: StatusCode, reason: &str, message: &str) -> Answer {
    json(status, &Refused { reason: reason.to_owned(), message: message.to_owned() })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).unwrap_or_default();
    with(status, "application/json", body)
}

fn text(status: StatusCode, body: String) -> Answer {
    with(status, "text/plain; charset=utf-8", body.into_bytes())
}

fn with(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_the_one_that_is_named() {
        let check = |query, want| assert_eq!(certificate(query), want);
        check("", "node");
        check("certificate=web", "web");
        check("a=b&certificate=web&certificate=node", "web");
        check("xcertificate=web", "node");
    }
}
