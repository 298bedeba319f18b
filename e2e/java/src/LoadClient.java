import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import javax.net.ssl.SSLSocket;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.IntegerDeserializer;
import org.apache.kafka.common.serialization.IntegerSerializer;

/**
 * Load that misses nothing: what a cluster did to its clients while its certificates changed.
 *
 * <pre>
 * LoadClient CLIENT_PROPERTIES TOPIC RECORDS_PER_SECOND SECONDS_FILE
 * </pre>
 *
 * One producer for each partition (acks=all, idempotent) sends the numbers 0, 1, 2 …; a consumer reads them back. Each
 * second a prober makes a new connection to every broker, with a full handshake and an answered request, and the quorum
 * is asked for its leader. SECONDS_FILE gets a line of counters each second and a line for each thing that went wrong.
 * SIGTERM ends it: what was sent is flushed, what was acknowledged is read, and the sums are printed, a name, a tab and
 * a value on each line. Exit code 0: nothing failed, was lost, came twice or out of order, and no login failed.
 *
 * Kafka's clients retry by themselves, and a node that stops closes its connections, so what was interrupted and
 * retried (`retries`, `interrupted`) is counted apart from what failed.
 */
public final class LoadClient {
    private static final int PARTITIONS = 3;
    private static final int TIMEOUT_MS = 5_000;
    /** After the end of the sending: twice the time in which a session of a broker that is gone runs out. */
    private static final Duration FLUSH_AT_MOST = Duration.ofSeconds(20);

    private final Properties properties;
    private final String topic;
    private final long pauseNs;
    private final PrintStream seconds;
    private final CountDownLatch stopping = new CountDownLatch(1);
    private final List<KafkaProducer<Integer, Integer>> producers = new ArrayList<>();
    private final List<Sequence> sequences = new ArrayList<>();
    private final AtomicLong failed = new AtomicLong();
    private final Gap acknowledgedGap = new Gap();
    private volatile KafkaConsumer<Integer, Integer> consumer;
    private final AtomicLong probes = new AtomicLong();
    private final AtomicLong interrupted = new AtomicLong();
    private final AtomicLong refused = new AtomicLong();
    private final Set<String> leaves = new HashSet<>();
    private final Gap quorumGap = new Gap();
    private final Set<String> reigns = new HashSet<>();
    private volatile String leader = "-";

    /** What one partition was sent and gave back. */
    private static final class Sequence {
        private final BitSet acknowledged = new BitSet();
        private final BitSet received = new BitSet();
        private long sent;
        private long duplicated;
        private long outOfOrder;

        synchronized int next() {
            return (int) sent++;
        }

        synchronized void acknowledge(int number) {
            acknowledged.set(number);
        }

        synchronized void receive(int number) {
            if (received.get(number)) {
                duplicated++;
            } else if (number < received.length()) {
                outOfOrder++;
            }
            received.set(number);
        }

        /** Sent, and not acknowledged (yet). */
        synchronized long open() {
            return sent - acknowledged.cardinality();
        }

        /** Acknowledged, and not read (yet). */
        synchronized long missing() {
            BitSet missing = (BitSet) acknowledged.clone();
            missing.andNot(received);
            return missing.cardinality();
        }

        synchronized long[] counts() {
            return new long[] {sent, acknowledged.cardinality(), received.cardinality(), duplicated, outOfOrder};
        }
    }

    /** The longest time between two of the same. */
    private static final class Gap {
        private long last;
        private long longestMs;

        synchronized void mark() {
            longestMs = longestMs();
            last = System.nanoTime();
        }

        /** The one that lasts counts as well. */
        synchronized long longestMs() {
            return last == 0 ? 0 : Math.max(longestMs, (System.nanoTime() - last) / 1_000_000);
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 4) {
            System.err.println("usage: LoadClient CLIENT_PROPERTIES TOPIC RECORDS_PER_SECOND SECONDS_FILE");
            System.exit(64);
        }
        LoadClient load = new LoadClient(ClusterClient.load(args[0]), args[1], Integer.parseInt(args[2]), args[3]);
        CountDownLatch ended = new CountDownLatch(1);
        int[] code = {1};
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            load.stopping.countDown();
            try {
                ended.await(60, TimeUnit.SECONDS);
            } catch (InterruptedException gone) {
                code[0] = 1;
            }
            // A program that is ended by a signal has no other way to name its own exit code.
            Runtime.getRuntime().halt(code[0]);
        }));
        try {
            code[0] = load.run();
        } finally {
            ended.countDown();
        }
    }

    private LoadClient(Properties properties, String topic, int recordsPerSecond, String secondsFile) throws Exception {
        this.properties = properties;
        this.topic = topic;
        this.pauseNs = TimeUnit.SECONDS.toNanos(PARTITIONS) / recordsPerSecond;
        this.seconds = new PrintStream(Path.of(secondsFile).toFile());
        // A broker that comes back is found at once, and one that is gone is not waited for.
        properties.put("reconnect.backoff.max.ms", "500");
    }

    private int run() throws Exception {
        createTopic();
        List<Thread> threads = new ArrayList<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            sequences.add(new Sequence());
            producers.add(producer());
        }
        for (int partition = 0; partition < PARTITIONS; partition++) {
            int own = partition;
            threads.add(start("producer-" + own, () -> produce(own)));
        }
        threads.add(start("prober", this::probe));
        threads.add(start("quorum", this::watchQuorum));
        Thread reader = start("consumer", this::consume);
        seconds.println("TIME\tSENT\tACKNOWLEDGED\tFAILED\tRECEIVED\tRETRIES\tPROBES\tINTERRUPTED\tREFUSED\tLEADER\tMS_WITHOUT");
        while (!stopping.await(1, TimeUnit.SECONDS)) {
            printSecond();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        // The gaps end here: what is still under way takes as long as it takes.
        long acknowledgedGapMs = acknowledgedGap.longestMs();
        long quorumGapMs = quorumGap.longestMs();
        long deadline = System.nanoTime() + FLUSH_AT_MOST.toNanos();
        while ((sum(Sequence::open) > failed.get() || sum(Sequence::missing) > 0) && System.nanoTime() < deadline) {
            Thread.sleep(50);
        }
        printSecond();
        // A client that is closed has no metrics any more.
        int code = summary(acknowledgedGapMs, quorumGapMs);
        producers.forEach(producer -> producer.close(Duration.ZERO));
        reader.interrupt();
        reader.join();
        return code;
    }

    private interface Work {
        void run() throws Exception;
    }

    private Thread start(String name, Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception broken) {
                failed.incrementAndGet();
                event("failed\t" + name + "\t" + broken);
            }
        }, name);
        thread.start();
        return thread;
    }

    private void createTopic() throws Exception {
        try (Admin admin = Admin.create(properties)) {
            short replicas = (short) Math.min(3, admin.describeCluster().nodes().get(30, TimeUnit.SECONDS).size());
            NewTopic wanted = new NewTopic(topic, PARTITIONS, replicas)
                .configs(Map.of("min.insync.replicas", String.valueOf(Math.max(1, replicas - 1))));
            admin.createTopics(List.of(wanted)).all().get(30, TimeUnit.SECONDS);
        }
    }

    private KafkaProducer<Integer, Integer> producer() {
        Properties own = new Properties();
        own.putAll(properties);
        own.put(ProducerConfig.ACKS_CONFIG, "all");
        own.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
        return new KafkaProducer<>(own, new IntegerSerializer(), new IntegerSerializer());
    }

    private void produce(int partition) throws InterruptedException {
        Sequence sequence = sequences.get(partition);
        while (!stopping.await(pauseNs, TimeUnit.NANOSECONDS)) {
            int number = sequence.next();
            producers.get(partition).send(new ProducerRecord<>(topic, partition, partition, number), (at, problem) -> {
                if (problem == null) {
                    sequence.acknowledge(number);
                    acknowledgedGap.mark();
                } else {
                    failed.incrementAndGet();
                    event("failed\trecord " + partition + "/" + number + "\t" + problem);
                }
            });
        }
    }

    /** Reads every partition by name, from its beginning, until it is interrupted. */
    private void consume() {
        List<TopicPartition> partitions =
            IntStream.range(0, PARTITIONS).mapToObj(i -> new TopicPartition(topic, i)).collect(Collectors.toList());
        IntegerDeserializer integers = new IntegerDeserializer();
        try (KafkaConsumer<Integer, Integer> own = new KafkaConsumer<>(properties, integers, integers)) {
            consumer = own;
            own.assign(partitions);
            own.seekToBeginning(partitions);
            while (true) {
                for (ConsumerRecord<Integer, Integer> record : own.poll(Duration.ofMillis(200))) {
                    sequences.get(record.partition()).receive(record.value());
                }
            }
        } catch (org.apache.kafka.common.errors.InterruptException asked) {
            consumer = null;
        }
    }

    /** A new connection to each broker each second. */
    private void probe() throws InterruptedException {
        String[] addresses = properties.getProperty("bootstrap.servers").split(",");
        while (!stopping.await(1, TimeUnit.SECONDS)) {
            for (String address : addresses) {
                try {
                    X509Certificate leaf = shakeHands(address);
                    probes.incrementAndGet();
                    if (leaves.add(address + " " + leaf.getSerialNumber())) {
                        event("leaf\t" + address + "\t" + ClusterClient.fingerprint(leaf) + "\t" + leaf.getNotAfter().toInstant());
                    }
                } catch (Exception problem) {
                    boolean gone = closed(problem);
                    (gone ? interrupted : refused).incrementAndGet();
                    event((gone ? "interrupted\t" : "refused\t") + address + "\t" + problem);
                }
            }
        }
    }

    /** A handshake that resumes nothing, and ApiVersions: with TLS 1.3 only an answer shows that our leaf was taken. */
    private X509Certificate shakeHands(String address) throws Exception {
        int colon = address.lastIndexOf(':');
        String host = address.substring(0, colon);
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1))), TIMEOUT_MS);
            socket.setSoTimeout(TIMEOUT_MS);
            SSLSocket named = ClusterClient.named(ClusterClient.context(properties), socket, address);
            DataOutputStream out = new DataOutputStream(named.getOutputStream());
            // Length, then api key 18 in version 0, correlation id 7 and no client id.
            out.writeInt(10);
            out.writeShort(18);
            out.writeShort(0);
            out.writeInt(7);
            out.writeShort(-1);
            out.flush();
            DataInputStream in = new DataInputStream(named.getInputStream());
            int length = in.readInt();
            if (length < 6 || in.readInt() != 7 || in.readShort() != 0) {
                throw new IllegalStateException("no answer to ApiVersions");
            }
            return (X509Certificate) named.getSession().getPeerCertificates()[0];
        }
    }

    /** Whether nobody listens or is called so, or a node that stops has closed the connection, which says nothing of certificates. */
    private static boolean closed(Throwable problem) {
        for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
            if (cause instanceof EOFException || cause instanceof SocketException || cause instanceof SocketTimeoutException
                    || cause instanceof UnknownHostException) {
                return true;
            }
        }
        return false;
    }

    /** The brokers hand the question on to the leader, so that only a leader answers. */
    private void watchQuorum() throws Exception {
        Properties own = new Properties();
        own.putAll(properties);
        own.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, "2000");
        own.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, "1000");
        try (Admin admin = Admin.create(own)) {
            while (!stopping.await(1, TimeUnit.SECONDS)) {
                try {
                    QuorumInfo info = admin.describeMetadataQuorum().quorumInfo().get(3, TimeUnit.SECONDS);
                    quorumGap.mark();
                    leader = info.leaderId() + "/" + info.leaderEpoch();
                    if (reigns.add(leader)) {
                        event("leader\t" + info.leaderId() + "\tepoch " + info.leaderEpoch());
                    }
                } catch (ExecutionException | TimeoutException nobody) {
                    leader = "-";
                    event("no leader answered\t-\t" + (nobody.getCause() == null ? nobody : nobody.getCause()));
                }
            }
        }
    }

    private void printSecond() {
        long[] counts = counts();
        seconds.println(String.join("\t", now(), text(counts[0]), text(counts[1]), text(failed.get()), text(counts[2]),
            text(metric("record-retry-total")), text(probes.get()), text(interrupted.get()), text(refused.get()), leader,
            text(quorumGap.longestMs())));
    }

    private void event(String line) {
        seconds.println(now() + "\t" + line.replace('\n', ' '));
    }

    private int summary(long acknowledgedGapMs, long quorumGapMs) {
        long[] counts = counts();
        long lost = sum(Sequence::missing);
        long logins = metric("failed-authentication-total");
        String[][] rows = {
            {"sent", text(counts[0])}, {"acknowledged", text(counts[1])}, {"failed", text(failed.get())},
            {"received", text(counts[2])}, {"lost", text(lost)}, {"duplicated", text(counts[3])},
            {"out_of_order", text(counts[4])}, {"longest_gap_ms", text(acknowledgedGapMs)},
            {"retries", text(metric("record-retry-total"))}, {"connections", text(metric("connection-creation-total"))},
            {"failed_logins", text(logins)}, {"probes", text(probes.get())}, {"interrupted", text(interrupted.get())},
            {"refused", text(refused.get())}, {"leaves_seen", text(leaves.size())}, {"leaders", text(reigns.size())},
            {"longest_without_leader_ms", text(quorumGapMs)},
        };
        for (String[] row : rows) {
            System.out.println(row[0] + "\t" + row[1]);
        }
        boolean good = counts[1] > 0 && counts[0] == counts[1] && failed.get() == 0 && lost == 0 && counts[3] == 0
            && counts[4] == 0 && logins == 0 && refused.get() == 0;
        return good ? 0 : 1;
    }

    /** Sent, acknowledged, received, duplicated and out of order, of all partitions. */
    private long[] counts() {
        return IntStream.range(0, 5)
            .mapToLong(index -> sequences.stream().mapToLong(one -> one.counts()[index]).sum()).toArray();
    }

    private long sum(java.util.function.ToLongFunction<Sequence> count) {
        return sequences.stream().mapToLong(count).sum();
    }

    /** The sum over producers and consumer; a retry is the producers' alone. */
    private long metric(String name) {
        List<Map<MetricName, ? extends Metric>> all = new ArrayList<>();
        producers.forEach(producer -> all.add(producer.metrics()));
        KafkaConsumer<Integer, Integer> reader = consumer;
        if (reader != null) {
            all.add(reader.metrics());
        }
        double sum = all.stream().flatMap(metrics -> metrics.values().stream())
            .filter(metric -> metric.metricName().name().equals(name) && !metric.metricName().tags().containsKey("topic"))
            .filter(metric -> metric.metricValue() instanceof Double)
            .mapToDouble(metric -> (Double) metric.metricValue()).sum();
        return Math.round(sum);
    }

    private static String text(long number) {
        return String.valueOf(number);
    }

    private static String now() {
        return Instant.now().truncatedTo(ChronoUnit.MILLIS).toString();
    }
}
