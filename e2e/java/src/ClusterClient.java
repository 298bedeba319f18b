import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What the demo asks a running cluster. Kafka's own console tools are not published for every release, so this is
 * compiled against each.
 *
 * <pre>
 * ClusterClient CLIENT_PROPERTIES wait BROKERS SECONDS     until that many brokers are registered and unfenced
 * ClusterClient CLIENT_PROPERTIES round-trip TOPIC RECORDS create, produce, consume, compare
 * ClusterClient CLIENT_PROPERTIES consume TOPIC RECORDS    read what round-trip has produced, compare
 * ClusterClient CLIENT_PROPERTIES fill TOPIC NODE PARTITIONS RECORDS
 *                                                          so many partitions on this node alone, with so many records
 *                                                          in each, every one a batch of its own
 * ClusterClient CLIENT_PROPERTIES in-sync TOPIC REPLICAS SECONDS
 *                                                          until every partition has that many replicas in sync
 * ClusterClient CLIENT_PROPERTIES quorum                   leader, epoch and high watermark; for each voter its log
 *                                                          end offset, the ms since it had everything and its directory
 *                                                          id; for each observer its log end offset and directory id
 * ClusterClient CLIENT_PROPERTIES caught-up SECONDS VOTER...
 *                                                          until one of these voters leads and all have everything
 * ClusterClient CLIENT_PROPERTIES alter NODE KEY [VALUE]   sets a key of a broker's own configuration, or deletes it
 * ClusterClient CLIENT_PROPERTIES leaf HOST:PORT...        the leaf that each address serves, host name verified
 * </pre>
 *
 * Results are lines of fields divided by tabs. Exit code 1: the cluster did not do what was asked; 64: wrong usage.
 */
public final class ClusterClient {
    private static final int PARTITIONS = 3;
    private static final Duration CONSUME_AT_MOST = Duration.ofSeconds(30);
    private static final int CONNECT_TIMEOUT_MS = 5_000;
    /** A voter that has not had everything for so long is held for gone (controller.quorum.fetch.timeout.ms). */
    private static final long LATELY_MS = 2_000;

    public static void main(String[] args) throws Exception {
        String command = args.length < 2 ? "" : args[1];
        int code;
        if (command.equals("wait") && args.length == 4) {
            code = waitForBrokers(load(args[0]), Integer.parseInt(args[2]), Integer.parseInt(args[3]));
        } else if (command.equals("round-trip") && args.length == 4) {
            code = roundTrip(load(args[0]), args[2], Integer.parseInt(args[3]));
        } else if (command.equals("consume") && args.length == 4) {
            code = consumeAgain(load(args[0]), args[2], Integer.parseInt(args[3]));
        } else if (command.equals("fill") && args.length == 6) {
            code = fill(load(args[0]), args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]), Integer.parseInt(args[5]));
        } else if (command.equals("in-sync") && args.length == 5) {
            code = waitInSync(load(args[0]), args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]));
        } else if (command.equals("quorum") && args.length == 2) {
            code = quorum(load(args[0]));
        } else if (command.equals("caught-up") && args.length > 3) {
            Set<Integer> voters = Arrays.stream(args).skip(3).map(Integer::valueOf).collect(Collectors.toSet());
            code = waitCaughtUp(load(args[0]), Integer.parseInt(args[2]), voters);
        } else if (command.equals("alter") && (args.length == 4 || args.length == 5)) {
            code = alter(load(args[0]), args[2], args[3], args.length == 5 ? args[4] : null);
        } else if (command.equals("leaf") && args.length > 2) {
            code = leaves(load(args[0]), Arrays.asList(args).subList(2, args.length));
        } else {
            System.err.println("usage: ClusterClient CLIENT_PROPERTIES wait|round-trip|consume|fill|in-sync|quorum|caught-up|alter|leaf ...");
            code = 64;
        }
        System.exit(code);
    }

    static Properties load(String path) throws Exception {
        Properties properties = new Properties();
        try (InputStream in = new FileInputStream(path)) {
            properties.load(in);
        }
        return properties;
    }

    /** A look at the cluster: null when what is waited for is there (and has been printed), else what was there instead. */
    private interface Look {
        String missing(Admin admin) throws Exception;
    }

    /** Looks again and again. Two seconds for each look, so that one that no node answers does not use up the deadline. */
    private static int await(Properties properties, int seconds, String problem, Look look) throws Exception {
        properties.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, "2000");
        properties.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, "2000");
        properties.put(AdminClientConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, "200");
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        String last = "nothing was answered";
        try (Admin admin = Admin.create(properties)) {
            while (System.nanoTime() < deadline) {
                try {
                    last = look.missing(admin);
                    if (last == null) {
                        return 0;
                    }
                } catch (ExecutionException failed) {
                    last = String.valueOf(failed.getCause());
                }
                Thread.sleep(200);
            }
        }
        System.err.println(problem + " within " + seconds + " s; the last was: " + last);
        return 1;
    }

    private static int waitForBrokers(Properties properties, int brokers, int seconds) throws Exception {
        return await(properties, seconds, "no answer with " + brokers + " brokers", admin -> {
            int found = admin.describeCluster().nodes().get().size();
            if (found < brokers) {
                return found + " brokers are registered";
            }
            System.out.println("brokers\t" + found);
            return null;
        });
    }

    private static int roundTrip(Properties properties, String topic, int records) throws Exception {
        short replicas;
        try (Admin admin = Admin.create(properties)) {
            replicas = (short) Math.min(3, admin.describeCluster().nodes().get(60, TimeUnit.SECONDS).size());
            NewTopic wanted = new NewTopic(topic, PARTITIONS, replicas)
                .configs(Map.of("min.insync.replicas", String.valueOf(Math.max(1, replicas - 1))));
            admin.createTopics(List.of(wanted)).all().get(60, TimeUnit.SECONDS);
        }
        List<String> sent = values(records);
        produce(properties, topic, sent);
        System.out.println("topic\t" + topic + "\nreplication_factor\t" + replicas);
        System.out.println("produced\t" + sent.size());
        return consumeAgain(properties, topic, records);
    }

    private static List<String> values(int records) {
        return IntStream.range(0, records).mapToObj(i -> "record " + i).collect(Collectors.toList());
    }

    private static int consumeAgain(Properties properties, String topic, int records) {
        List<String> sent = values(records);
        List<String> received = consume(properties, topic, records);
        System.out.println("consumed\t" + received.size());
        Set<String> distinct = new HashSet<>(received);
        if (received.size() != sent.size() || !distinct.equals(new HashSet<>(sent))) {
            System.err.println("what was consumed is not what was produced");
            return 1;
        }
        return 0;
    }

    private static int fill(Properties base, String topic, int node, int partitions, int records) throws Exception {
        try (Admin admin = Admin.create(base)) {
            Map<Integer, List<Integer>> assignments =
                IntStream.range(0, partitions).boxed().collect(Collectors.toMap(one -> one, one -> List.of(node)));
            // There is one replica of each, and no node is to be held back for want of a second.
            NewTopic wanted = new NewTopic(topic, assignments).configs(Map.of("min.insync.replicas", "1"));
            admin.createTopics(List.of(wanted)).all().get(60, TimeUnit.SECONDS);
        }
        Properties properties = new Properties();
        properties.putAll(base);
        properties.put(ProducerConfig.ACKS_CONFIG, "1");
        properties.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "false");
        // A batch holds one record at least, and no two find room in so few bytes.
        properties.put(ProducerConfig.BATCH_SIZE_CONFIG, "1");
        StringSerializer serializer = new StringSerializer();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(properties, serializer, serializer)) {
            for (int record = 0; record < records; record++) {
                for (int partition = 0; partition < partitions; partition++) {
                    producer.send(new ProducerRecord<>(topic, partition, null, "record " + record));
                }
            }
        }
        System.out.println("filled\t" + (long) partitions * records);
        return 0;
    }

    private static int waitInSync(Properties properties, String topic, int replicas, int seconds) throws Exception {
        return await(properties, seconds, topic + " has not " + replicas + " replicas in sync", admin -> {
            TopicDescription found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            int fewest = found.partitions().stream().mapToInt(one -> one.isr().size()).min().orElse(0);
            if (fewest < replicas) {
                return "a partition has " + fewest + " replicas in sync";
            }
            System.out.println("in_sync\t" + fewest);
            return null;
        });
    }

    private static void produce(Properties base, String topic, List<String> values) throws Exception {
        Properties properties = new Properties();
        properties.putAll(base);
        properties.put(ProducerConfig.ACKS_CONFIG, "all");
        properties.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
        StringSerializer serializer = new StringSerializer();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(properties, serializer, serializer)) {
            List<Future<RecordMetadata>> acknowledgements = new ArrayList<>();
            for (String value : values) {
                acknowledgements.add(producer.send(new ProducerRecord<>(topic, value, value)));
            }
            for (Future<RecordMetadata> acknowledgement : acknowledgements) {
                acknowledgement.get(30, TimeUnit.SECONDS);
            }
        }
    }

    /** Reads every partition by name: without a group there is no offsets topic to wait for. */
    private static List<String> consume(Properties properties, String topic, int records) {
        StringDeserializer deserializer = new StringDeserializer();
        List<TopicPartition> partitions =
            IntStream.range(0, PARTITIONS).mapToObj(i -> new TopicPartition(topic, i)).collect(Collectors.toList());
        List<String> received = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(properties, deserializer, deserializer)) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long deadline = System.nanoTime() + CONSUME_AT_MOST.toNanos();
            while (received.size() < records && System.nanoTime() < deadline) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                    received.add(record.value());
                }
            }
        }
        return received;
    }

    private static int quorum(Properties properties) throws Exception {
        try (Admin admin = Admin.create(properties)) {
            print(admin.describeMetadataQuorum().quorumInfo().get(30, TimeUnit.SECONDS));
            return 0;
        } catch (ExecutionException | TimeoutException failed) {
            System.err.println("the quorum did not answer: " + failed);
            return 1;
        }
    }

    private static int waitCaughtUp(Properties properties, int seconds, Set<Integer> wanted) throws Exception {
        return await(properties, seconds, "voters " + wanted + " have not caught up", admin -> {
            QuorumInfo info = admin.describeMetadataQuorum().quorumInfo().get();
            long holders = info.voters().stream()
                .filter(voter -> wanted.contains(voter.replicaId()))
                .filter(voter -> voter.logEndOffset() >= info.highWatermark() && behindMs(info, voter) <= LATELY_MS)
                .count();
            if (!wanted.contains(info.leaderId()) || info.highWatermark() <= 0 || holders != wanted.size()) {
                return info.toString();
            }
            print(info);
            return null;
        });
    }

    private static int alter(Properties properties, String node, String key, String value) throws Exception {
        AlterConfigOp.OpType what = value == null ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET;
        ConfigResource resource = new ConfigResource(ConfigResource.Type.BROKER, node);
        Collection<AlterConfigOp> change = List.of(new AlterConfigOp(new ConfigEntry(key, value), what));
        try (Admin admin = Admin.create(properties)) {
            admin.incrementalAlterConfigs(Map.of(resource, change)).all().get(30, TimeUnit.SECONDS);
            return 0;
        } catch (ExecutionException refused) {
            System.err.println("the broker refused: " + refused.getCause());
            return 1;
        }
    }

    private static void print(QuorumInfo info) {
        System.out.println("leader\t" + info.leaderId());
        System.out.println("epoch\t" + info.leaderEpoch());
        System.out.println("high_watermark\t" + info.highWatermark());
        for (QuorumInfo.ReplicaState voter : info.voters()) {
            System.out.println("voter\t" + voter.replicaId() + "\t" + voter.logEndOffset()
                + "\t" + behindMs(info, voter) + "\t" + directoryId(voter));
        }
        for (QuorumInfo.ReplicaState observer : info.observers()) {
            System.out.println("observer\t" + observer.replicaId() + "\t" + observer.logEndOffset()
                + "\t" + directoryId(observer));
        }
    }

    /** Clients before 3.9 do not know directory ids (KIP-853), and this file is compiled against each release. */
    private static Object directoryId(QuorumInfo.ReplicaState replica) {
        try {
            return QuorumInfo.ReplicaState.class.getMethod("replicaDirectoryId").invoke(replica);
        } catch (ReflectiveOperationException unknown) {
            return "-";
        }
    }

    /** All time stamps are the leader's, and its own is the time of the answer. */
    private static long behindMs(QuorumInfo info, QuorumInfo.ReplicaState voter) {
        long now = info.voters().stream().filter(one -> one.replicaId() == info.leaderId())
            .mapToLong(one -> one.lastCaughtUpTimestamp().orElse(0)).findFirst().orElse(0);
        return now - voter.lastCaughtUpTimestamp().orElse(0);
    }

    /** Handshakes with the client's own key and trust, as a client of Kafka does, and names what was served. */
    private static int leaves(Properties properties, List<String> addresses) throws Exception {
        SSLContext context = context(properties);
        for (String address : addresses) {
            int colon = address.lastIndexOf(':');
            String host = address.substring(0, colon);
            int port = Integer.parseInt(address.substring(colon + 1));
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(host, port), CONNECT_TIMEOUT_MS);
                socket.setSoTimeout(CONNECT_TIMEOUT_MS);
                SSLSocket named = named(context, socket, address);
                X509Certificate leaf = (X509Certificate) named.getSession().getPeerCertificates()[0];
                System.out.println(String.join("\t", "leaf", address, fingerprint(leaf),
                    leaf.getNotAfter().toInstant().toString(), leaf.getIssuerX500Principal().getName()));
            } catch (java.io.IOException failed) {
                System.err.println("no verified handshake with " + address + ": " + failed.getMessage());
                return 1;
            }
        }
        return 0;
    }

    /** The connection after its handshake, in which the server's name was verified. */
    static SSLSocket named(SSLContext context, Socket socket, String address) throws java.io.IOException {
        int colon = address.lastIndexOf(':');
        SSLSocket named = (SSLSocket) context.getSocketFactory()
            .createSocket(socket, address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)), true);
        SSLParameters parameters = named.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        named.setSSLParameters(parameters);
        named.startHandshake();
        return named;
    }

    static String fingerprint(X509Certificate leaf) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(leaf.getEncoded());
        return IntStream.range(0, digest.length).mapToObj(i -> String.format("%02x", digest[i])).collect(Collectors.joining());
    }

    static SSLContext context(Properties properties) throws Exception {
        String trusted = Files.readString(Path.of(properties.getProperty("ssl.truststore.location")));
        KeyStore keys = KeyStore.getInstance("PKCS12");
        keys.load(null, null);
        String keystore = properties.getProperty("ssl.keystore.location");
        // Not every cluster asks its clients for a certificate.
        if (keystore != null) {
            String own = Files.readString(Path.of(keystore));
            List<Certificate> chain = new ArrayList<>(certificates(own));
            keys.setKeyEntry("own", privateKey(own, chain.get(0)), new char[0], chain.toArray(new Certificate[0]));
        }
        KeyManagerFactory keyManagers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keyManagers.init(keys, new char[0]);
        KeyStore anchors = KeyStore.getInstance("PKCS12");
        anchors.load(null, null);
        for (Certificate anchor : certificates(trusted)) {
            anchors.setCertificateEntry("anchor-" + anchors.size(), anchor);
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(anchors);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keyManagers.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    static Collection<? extends Certificate> certificates(String pem) throws Exception {
        StringBuilder blocks = new StringBuilder();
        String end = "-----END CERTIFICATE-----";
        for (int from = pem.indexOf("-----BEGIN CERTIFICATE-----"); from >= 0;
                from = pem.indexOf("-----BEGIN CERTIFICATE-----", from + 1)) {
            blocks.append(pem, from, pem.indexOf(end, from) + end.length()).append('\n');
        }
        return CertificateFactory.getInstance("X.509")
            .generateCertificates(new ByteArrayInputStream(blocks.toString().getBytes(StandardCharsets.US_ASCII)));
    }

    private static PrivateKey privateKey(String pem, Certificate leaf) throws Exception {
        String begin = "-----BEGIN PRIVATE KEY-----";
        int from = pem.indexOf(begin) + begin.length();
        byte[] der = Base64.getMimeDecoder().decode(pem.substring(from, pem.indexOf("-----END PRIVATE KEY-----")));
        return KeyFactory.getInstance(leaf.getPublicKey().getAlgorithm()).generatePrivate(new PKCS8EncodedKeySpec(der));
    }
}
