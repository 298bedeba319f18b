//! One connection to one listener: resolve, connect, TLS, log in; then questions one after another; then an end.
//!
//! One deadline for all of it and a bound on every length. After an error the connection is of no further use.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::kafka::address::io::dial;
use crate::kafka::alter_configs::decode_unset;
use crate::kafka::alter_configs::encode_unset;
use crate::kafka::ask_error::AskError;
use crate::kafka::describe_cluster::DESCRIBE_CLUSTER;
use crate::kafka::describe_cluster::DESCRIBE_CLUSTER_VERSIONS;
use crate::kafka::describe_cluster::ListedBroker;
use crate::kafka::describe_cluster::decode_describe_cluster;
use crate::kafka::describe_cluster::encode_describe_cluster;
use crate::kafka::describe_quorum::DESCRIBE_QUORUM;
use crate::kafka::describe_quorum::DESCRIBE_QUORUM_VERSIONS;
use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::describe_quorum::decode_describe_quorum;
use crate::kafka::describe_quorum::encode_describe_quorum;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::login::Login;
use crate::kafka::login::Mechanism;
use crate::kafka::node_id::NodeId;
use crate::kafka::requests::ApiVersions;
use crate::kafka::requests::LENGTH_BYTES;
use crate::kafka::requests::MAX_RESPONSE_BYTES;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::decode_api_versions;
use crate::kafka::requests::encode_api_versions;
use crate::kafka::sasl::Handshake;
use crate::kafka::sasl::LoginRefusal;
use crate::kafka::sasl::decode_authenticate;
use crate::kafka::sasl::decode_handshake;
use crate::kafka::sasl::encode_authenticate;
use crate::kafka::sasl::encode_handshake;
use crate::kafka::sasl::plain_message;
use crate::kafka::scram_client::ClientFirst;
use crate::kafka::topic_configs::MOST_TOPICS;
use crate::kafka::topic_configs::decode_min_insync_replicas;
use crate::kafka::topic_configs::encode_min_insync_replicas;
use crate::kafka::topics::Cursor;
use crate::kafka::topics::DESCRIBE_TOPIC_PARTITIONS;
use crate::kafka::topics::DESCRIBE_TOPIC_PARTITIONS_VERSIONS;
use crate::kafka::topics::METADATA;
use crate::kafka::topics::METADATA_VERSIONS;
use crate::kafka::topics::Page;
use crate::kafka::topics::decode_describe_topic_partitions;
use crate::kafka::topics::decode_metadata;
use crate::kafka::topics::encode_describe_topic_partitions;
use crate::kafka::topics::encode_metadata;
use crate::pki::handshake::Presented;

/// An open connection.
pub struct Connection {
    address: String,
    stream: Box<dyn Stream>,
    deadline: Instant,
    presented: Presented,
    /// The number of the last request.
    correlation_id: i32,
    /// What it answers; asked once.
    versions: Option<ApiVersions>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connection {
    /// Connects, shakes hands and logs in, as far as the endpoint says so. Everything that is done with the connection
    /// ends at `deadline`, the resolver included.
    ///
    /// In TLS 1.3 a server that does not take our leaf says so only in place of its first answer.
    pub async fn open(endpoint: &Endpoint, deadline: Instant) -> Result<Self, AskError> {
        let address = endpoint.address.clone();
        let stream = dial(&address, deadline).await?;
        let (stream, presented): (Box<dyn Stream>, Presented) = match &endpoint.tls {
            None => (Box::new(stream), Presented::default()),
            Some(tls) => {
                let (config, seen) = tls.client().handshake();
                let handshake = TlsConnector::from(config).connect(tls.server_name().clone(), stream);
                match timeout_at(deadline, handshake).await {
                    Ok(Ok(stream)) => (Box::new(stream), seen.presented()),
                    Ok(Err(source)) => {
                        return Err(AskError::Tls { address, presented: seen.presented(), source });
                    }
                    Err(_) => return Err(AskError::AnswerTimedOut { address }),
                }
            }
        };
        let mut connection = Self { address, stream, deadline, presented, correlation_id: 0, versions: None };
        if let Some(login) = &endpoint.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    /// What the other side presented in the handshake; nothing without TLS.
    pub fn presented(&self) -> &Presented {
        &self.presented
    }

    /// A connection that is kept has a new deadline for what is done next.
    pub fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Which versions of which requests it answers. Every listener answers that, before a login too.
    pub async fn api_versions(&mut self) -> Result<ApiVersions, AskError> {
        self.ask("its versions", encode_api_versions, decode_api_versions).await
    }

    /// How the quorum is; only its leader answers, and brokers pass the question on.
    pub async fn describe_quorum(&mut self) -> Result<QuorumInfo, AskError> {
        let version = self.version(DESCRIBE_QUORUM, DESCRIBE_QUORUM_VERSIONS, "DescribeQuorum").await?;
        let encode = |id| encode_describe_quorum(version, id);
        self.ask("the quorum", encode, |bytes, id| decode_describe_quorum(bytes, version, id)).await
    }

    /// Which brokers a broker lists.
    pub async fn describe_cluster(&mut self) -> Result<Vec<ListedBroker>, AskError> {
        let version = self.version(DESCRIBE_CLUSTER, DESCRIBE_CLUSTER_VERSIONS, "DescribeCluster").await?;
        let encode = |id| encode_describe_cluster(version, id);
        self.ask("the brokers", encode, |bytes, id| decode_describe_cluster(bytes, version, id)).await
    }

    /// The topics from `cursor` on, without one from the first on; only brokers answer. 3.7 gives all of them in one
    /// page, or, where they are more than an answer may be, [`AskError::TooLong`].
    ///
    /// A cursor only moves on, but how far is for the other side to say: whoever asks for page after page counts them.
    pub async fn topics_page(&mut self, cursor: Option<&Cursor>) -> Result<Page, AskError> {
        let paged = self.best(DESCRIBE_TOPIC_PARTITIONS, DESCRIBE_TOPIC_PARTITIONS_VERSIONS).await?;
        if paged.is_some() {
            let encode = |id| encode_describe_topic_partitions(cursor, id);
            let decode = |bytes: &[u8], id| decode_describe_topic_partitions(bytes, cursor, id);
            return self.ask("topics", encode, decode).await;
        }
        self.version(METADATA, METADATA_VERSIONS, "Metadata").await?;
        self.ask("topics", encode_metadata, decode_metadata).await
    }

    /// `min.insync.replicas` of these topics, asked about [`MOST_TOPICS`] at a time. A topic that is not there any more
    /// is left out.
    pub async fn min_insync_replicas(&mut self, topics: &[&str]) -> Result<BTreeMap<String, u32>, AskError> {
        let mut found = BTreeMap::new();
        for some in topics.chunks(MOST_TOPICS) {
            let encode = |id| encode_min_insync_replicas(some, id);
            let decode = |bytes: &[u8], id| decode_min_insync_replicas(bytes, some, id);
            found.append(&mut self.ask("min.insync.replicas", encode, decode).await?);
        }
        Ok(found)
    }

    /// The highest version of a request that both sides know.
    async fn version(
        &mut self,
        api_key: i16,
        ours: RangeInclusive<i16>,
        request: &'static str,
    ) -> Result<i16, AskError> {
        let best = self.best(api_key, ours).await?;
        best.ok_or_else(|| AskError::NotAsked { address: self.address.clone(), request })
    }

    async fn best(&mut self, api_key: i16, ours: RangeInclusive<i16>) -> Result<Option<i16>, AskError> {
        let versions = match self.versions.take() {
            Some(versions) => versions,
            None => self.api_versions().await?,
        };
        let best = versions.best(api_key, ours);
        self.versions = Some(versions);
        Ok(best)
    }

    /// Unsets a key of a node that has no dynamic value, which makes the node read its stores again, later.
    pub async fn unset(&mut self, node_id: NodeId, key: &str) -> Result<(), AskError> {
        let encode = |id| encode_unset(node_id, key, id);
        self.ask("a change", encode, |bytes, id| decode_unset(bytes, node_id, id)).await
    }

    /// Returns once the other side has ended the connection, however it did; before, nothing is expected from it.
    pub async fn ended(&mut self) {
        let _ = self.stream.read(&mut [0]).await;
    }

    /// Says goodbye, so that the other side has nothing to wonder about; that it hears it is not waited for.
    pub async fn close(mut self) {
        let _ = timeout_at(self.deadline, self.stream.shutdown()).await;
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), AskError> {
        let mechanism = login.mechanism();
        let encode = |id| encode_handshake(mechanism, id);
        match self.ask("a SASL handshake", encode, decode_handshake).await? {
            Handshake::Taken => {}
            Handshake::NotEnabled(enabled) => {
                return Err(AskError::Mechanism { address: self.address.clone(), mechanism, enabled });
            }
        }
        match mechanism {
            Mechanism::Plain => self.authenticate(login, &plain_message(login)).await.map(drop),
            Mechanism::Scram(mechanism) => {
                let mut random = [0; 24];
                let drawn = SystemRandom::new().fill(&mut random);
                drawn.map_err(|_| AskError::NoNonce { address: self.address.clone() })?;
                let first = ClientFirst::new(login, mechanism, random);
                let answer = self.authenticate(login, &first.message()).await?;
                let last = first.prove(&answer).map_err(|source| self.not_in(login, source.into()))?;
                let answer = self.authenticate(login, last.message()).await?;
                last.check(&answer).map_err(|source| self.not_in(login, source.into()))
            }
        }
    }

    /// One message of the mechanism out, one in.
    async fn authenticate(&mut self, login: &Login, message: &[u8]) -> Result<Vec<u8>, AskError> {
        let encode = |id| encode_authenticate(message, id);
        match self.ask("a login", encode, decode_authenticate).await {
            Err(AskError::Response { source, .. }) => Err(self.not_in(login, source.into())),
            other => other,
        }
    }

    fn not_in(&self, login: &Login, source: LoginRefusal) -> AskError {
        AskError::Login { address: self.address.clone(), username: login.username().to_owned(), source }
    }

    async fn ask<T>(
        &mut self,
        wanted: &'static str,
        encode: impl FnOnce(i32) -> Vec<u8>,
        decode: impl FnOnce(&[u8], i32) -> Result<T, ResponseError>,
    ) -> Result<T, AskError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        // It may hold a password.
        let request = Zeroizing::new(encode(self.correlation_id));
        let response = match timeout_at(self.deadline, self.exchange(&request)).await {
            Ok(response) => response?,
            Err(_) => return Err(AskError::AnswerTimedOut { address: self.address.clone() }),
        };
        decode(&response, self.correlation_id).map_err(|source| AskError::Response {
            address: self.address.clone(),
            wanted,
            source,
        })
    }

    /// One request out, one response in, without its length.
    async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, AskError> {
        let sent = match self.stream.write_all(request).await {
            Ok(()) => self.stream.flush().await,
            failed => failed,
        };
        let mut length = [0; LENGTH_BYTES];
        match (sent, self.stream.read_exact(&mut length).await) {
            (Ok(()), Ok(_)) => {}
            // Who refuses us may have closed before we had written; why, it said before that, and only a read shows it.
            (_, Err(error)) | (Err(error), Ok(_)) => return Err(self.broken(error)),
        }
        // The record of a TLS alert begins with 21 and major version 3; as a length that is 337 MB.
        if length.starts_with(&[21, 3]) {
            return Err(AskError::WantsTls { address: self.address.clone() });
        }
        let length = u32::from_be_bytes(length);
        let bounded = usize::try_from(length).ok().filter(|bytes| *bytes <= MAX_RESPONSE_BYTES);
        let size = bounded.ok_or_else(|| AskError::TooLong { address: self.address.clone(), length })?;
        let mut response = vec![0; size];
        match self.stream.read_exact(&mut response).await {
            Ok(_) => Ok(response),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&self, source: io::Error) -> AskError {
        AskError::of_stream(&self.address, self.presented.clone(), source)
    }
}
