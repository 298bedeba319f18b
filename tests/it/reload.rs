//! Verifying listeners and probing peers, over real handshakes on loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use kraftlet::kafka::endpoint::Endpoint;
use kraftlet::kafka::endpoint::Tls;
use kraftlet::pki::certificate::Fingerprint;
use kraftlet::reload::io::Check;
use kraftlet::reload::io::look;
use kraftlet::reload::io::probe;
use kraftlet::reload::io::reload_controller;
use kraftlet::reload::io::reload_itself;
use kraftlet::reload::io::verify;
use kraftlet::reload::verify::Ours;
use kraftlet::reload::verify::Wanted;

use crate::loopback::Authority;
use crate::loopback::Credential;
use crate::loopback::IMPATIENCE;
use crate::loopback::Listener;
use crate::loopback::PATIENCE;
use crate::loopback::run;
use crate::loopback::serve;

/// Serves one connection after another, each as the next of these says; the last one again and again.
async fn listen(turns: Vec<(Listener, Arc<ServerConfig>)>) -> String {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut turn = 0;
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let (listener, config) = turns.get(turn).or(turns.last()).unwrap().clone();
            turn += 1;
            tokio::spawn(async move {
                let stream = TlsAcceptor::from(config).accept(stream).await?;
                serve(stream, listener).await
            });
        }
    });
    address
}

fn fingerprint(credential: &Credential) -> Fingerprint {
    let leaf: &CertificateDer<'_> = &credential.0[0];
    Fingerprint::of(leaf)
}

fn check(address: String, tls: &Tls, wanted: &Wanted) -> Check {
    Check {
        listener: "INTERNAL".to_owned(),
        endpoint: Endpoint { address, tls: Some(tls.clone()), login: None },
        handshakes: 6,
        wanted: wanted.clone(),
    }
}

#[test]
fn a_listener_is_judged_by_what_every_handshake_shows() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (new, old) = (ours.leaf(), ours.leaf());
    let wanted = Wanted {
        leaf: fingerprint(&new),
        issuers: Vec::new(),
        previous: Some(fingerprint(&old)),
        ours: Ours::MustBeTaken,
    };
    let serving = |credential: &Credential| (Listener::Controller(0), ours.server_with(credential));
    let trusting = |trusted: &Authority, credential: &Credential| {
        (Listener::Controller(0), trusted.server_with(credential))
    };
    let client = ours.client(Some(&ours), "kafka-0.kafka");
    let misnamed = ours.client(Some(&ours), "kafka-1.kafka");
    let distrusting = other.client(Some(&ours), "kafka-0.kafka");
    for (turns, tls, want) in [
        (vec![serving(&new)], &client, "NewLeafServed"),
        (vec![serving(&old)], &client, "OldLeafServed"),
        (vec![serving(&ours.leaf())], &client, "UnknownLeafServed"),
        // One thread of several is late.
        (vec![serving(&new), serving(&new), serving(&new), serving(&old)], &client, "TwoLeavesServed"),
        // What does not verify is known all the same.
        (vec![serving(&new)], &misnamed, "NewLeafBroken"),
        (vec![serving(&new)], &distrusting, "NewLeafBroken"),
        (vec![serving(&old)], &distrusting, "OldLeafServed"),
        // The listener trusts somebody else.
        (vec![trusting(&other, &new)], &client, "NewLeafBroken"),
        (vec![trusting(&other, &old)], &client, "OldLeafServed"),
        // The key in the keystore is that of another leaf.
        (vec![serving(&new.with_key_of(&old))], &client, "NewLeafBroken"),
        (vec![serving(&old.with_key_of(&new))], &client, "OldLeafServed"),
        (vec![(Listener::Silent, ours.server_with(&new))], &client, "ListenerDoesNotAnswer"),
        (vec![(Listener::Bytes(b""), ours.server_with(&new))], &client, "ListenerUnreachable"),
    ] {
        let report = run(async {
            let deadline = Instant::now() + if want.ends_with("NotAnswer") { IMPATIENCE } else { PATIENCE };
            let address = listen(turns).await;
            look(&[check(address, tls, &wanted)], deadline).await.remove(0)
        });
        assert_eq!(report.verdict.reason(), want, "{report}");
    }
}

#[test]
fn it_is_looked_again_until_every_listener_serves_the_new_leaf() {
    let ours = Authority::new();
    let (new, old) = (ours.leaf(), ours.leaf());
    let leaf = fingerprint(&new);
    let wanted = Wanted { leaf, issuers: Vec::new(), previous: None, ours: Ours::MustBeTaken };
    let client = ours.client(Some(&ours), "kafka-0.kafka");
    let serving = |credential: &Credential| (Listener::Controller(0), ours.server_with(credential));
    let reports = run(async {
        let late =
            listen(vec![serving(&old), serving(&old), serving(&new), serving(&old), serving(&new)]).await;
        let prompt = listen(vec![serving(&new)]).await;
        let checks = [check(late, &client, &wanted), check(prompt, &client, &wanted)];
        verify(&checks, Instant::now() + PATIENCE).await
    });
    for report in reports {
        assert_eq!(report.to_string(), format!("listener INTERNAL serves leaf {}", leaf.short()));
    }
}

/// Long enough for a handshake on a machine with much to do, and for no second thought.
const A_LOOK: Duration = Duration::from_secs(3);

#[test]
fn the_last_report_stands_when_time_is_up() {
    let ours = Authority::new();
    let (new, old) = (ours.leaf(), ours.leaf());
    let wanted = Wanted {
        leaf: fingerprint(&new),
        issuers: Vec::new(),
        previous: Some(fingerprint(&old)),
        ours: Ours::MustBeTaken,
    };
    let client = ours.client(Some(&ours), "kafka-0.kafka");
    let report = run(async {
        let address = listen(vec![(Listener::Controller(0), ours.server_with(&old))]).await;
        verify(&[check(address, &client, &wanted)], Instant::now() + A_LOOK).await.remove(0)
    });
    let (old, new) = (fingerprint(&old).short(), wanted.leaf.short());
    assert_eq!(report.to_string(), format!("listener INTERNAL still presents leaf {old}; want {new}"));
}

#[test]
fn a_peer_trusts_a_leaf_or_refuses_it_or_cannot_be_asked() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = ours.leaf();
    let asking = ours.server_with(&server);
    let client = |trusted: &Authority, own| trusted.client(Some(own), "kafka-0.kafka");
    for (listener, config, client, want) in [
        (Listener::Controller(0), asking.clone(), client(&ours, &ours), "PeerTrusts"),
        (Listener::Controller(0), asking.clone(), client(&ours, &other), "PeerDoesNotTrust"),
        (
            Listener::Controller(0),
            ours.server_without_client_auth(),
            client(&ours, &other),
            "PeerAsksForNoLeaf",
        ),
        // We do not know the peer, which says nothing about what the peer thinks of us.
        (Listener::Controller(0), asking.clone(), client(&other, &ours), "PeerUnreachable"),
        (Listener::Silent, asking, client(&ours, &ours), "PeerUnreachable"),
    ] {
        let seen = run(async {
            let patience = if matches!(listener, Listener::Silent) { IMPATIENCE } else { PATIENCE };
            let address = listen(vec![(listener, config)]).await;
            let endpoint = Endpoint { address, tls: Some(client), login: None };
            probe(&endpoint, Instant::now() + patience).await
        });
        assert_eq!(seen.trust.reason(), want, "{seen:?}");
    }
}

#[test]
fn an_expired_leaf_is_asked_to_be_replaced_if_it_is_exactly_the_one_that_is_known() {
    let ours = Authority::new();
    let (expired, other) = (ours.expired_leaf(), ours.expired_leaf());
    for (served, known, want) in [
        (&expired, vec![&expired, &other], Ok(())),
        (&expired, vec![], Err("PeerRefusesTls")),
        (&expired, vec![&other], Err("PeerRefusesTls")),
        // Whoever has copied the leaf has not its key.
        (&expired.with_key_of(&other), vec![&expired], Err("PeerRefusesTls")),
    ] {
        let client = ours.client(Some(&ours), "kafka-0.kafka").client().clone();
        let client = client.also_taking(known.into_iter().map(fingerprint).collect());
        let told = run(async {
            let address = listen(vec![(Listener::Broker, ours.server_with(served))]).await;
            let endpoint = Endpoint { address, tls: Tls::new(client, "kafka-0.kafka"), login: None };
            reload_itself(&endpoint, 3.try_into().unwrap(), "key", Instant::now() + PATIENCE).await
        });
        assert_eq!(told.map_err(|error| error.reason()), want);
    }
}

#[test]
fn without_an_active_controller_every_controller_is_heard() {
    let ours = Authority::new();
    let client = ours.client(Some(&ours), "kafka-0.kafka");
    let error = run(async {
        let mut controllers = Vec::new();
        for _ in 0..3 {
            let address = listen(vec![(Listener::Controller(6), ours.server())]).await;
            controllers.push(Endpoint { address, tls: Some(client.clone()), login: None });
        }
        let node_id = 3.try_into().unwrap();
        reload_controller(&controllers, node_id, "key", None, Instant::now() + PATIENCE).await.unwrap_err()
    });
    assert_eq!(error.reason(), "NoActiveController");
    assert_eq!(error.to_string().matches("NOT_LEADER_OR_FOLLOWER").count(), 3, "{error}");
}
