package dev.kraftlet.ssl;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.apache.kafka.common.config.types.Password;

/** The folder of a node: its stores, where its engines report, and instances as Kafka makes them. */
final class Node implements AutoCloseable {
    final Path keystore;
    final Path truststore;
    final Path engine;
    private final List<FileSslEngineFactory> instances = new ArrayList<>();

    Node(Path folder, Identity identity, Identity... trusted) throws Exception {
        keystore = folder.resolve("keystore.pem");
        truststore = folder.resolve("truststore.pem");
        engine = Files.createDirectory(folder.resolve("engine"));
        Identity.replace(keystore, identity.keystorePem());
        trust(trusted);
    }

    void trust(Identity... trusted) throws Exception {
        StringBuilder anchors = new StringBuilder();
        for (Identity one : trusted) {
            anchors.append(one.certificatePem());
        }
        Identity.replace(truststore, anchors.toString().getBytes(StandardCharsets.US_ASCII));
    }

    /** What Kafka hands to a factory, as far as the engine reads it. */
    Map<String, Object> configs(String listener) {
        Map<String, Object> configs = new HashMap<>();
        configs.put("ssl.protocol", "TLSv1.3");
        configs.put("ssl.keymanager.algorithm", "SunX509");
        configs.put("ssl.trustmanager.algorithm", "PKIX");
        configs.put("ssl.keystore.type", "PEM");
        configs.put("ssl.keystore.location", keystore.toString());
        configs.put("ssl.truststore.type", "PEM");
        configs.put("ssl.truststore.location", truststore.toString());
        configs.put("kraftlet.log.dir", engine.resolve(listener).toString());
        return configs;
    }

    FileSslEngineFactory instance(String listener) {
        return instance(configs(listener));
    }

    FileSslEngineFactory instance(Map<String, Object> configs) {
        FileSslEngineFactory instance = new FileSslEngineFactory();
        instance.configure(configs);
        instances.add(instance);
        return instance;
    }

    /** The lines of the report; none where there is no file. */
    List<String> report() throws Exception {
        Path file = engine.resolve("status.jsonl");
        return Files.exists(file) ? Files.readAllLines(file, StandardCharsets.UTF_8) : new ArrayList<>();
    }

    @Override
    public void close() throws Exception {
        closeAll();
        // Whatever the thread still had to do is done: nothing writes into a folder that is about to be deleted.
        Followers.THREAD.submit(() -> { }).get();
    }

    /** Closes every instance, as Kafka does when it stops. */
    void closeAll() {
        instances.forEach(FileSslEngineFactory::close);
    }

    /** The configuration of a store with passwords. */
    static Map<String, Object> withStore(Map<String, Object> configs, Path file, String type) {
        configs.put("ssl.keystore.type", type);
        configs.put("ssl.keystore.location", file.toString());
        configs.put("ssl.keystore.password", new Password(Identity.STORE_PASSWORD));
        configs.put("ssl.key.password", new Password(type.equals("JKS") ? Identity.KEY_PASSWORD : Identity.STORE_PASSWORD));
        return configs;
    }

    /** Waits for something with a deadline. */
    static void await(String what, Callable<Boolean> there) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!there.call()) {
            if (System.nanoTime() - deadline > 0) {
                throw new AssertionError("not within 20 s: " + what);
            }
            LockSupport.parkNanos(1_000_000);
        }
    }

    /** The leaf that an instance serves in a whole handshake. */
    static String served(FileSslEngineFactory instance) throws Exception {
        SSLContext trusting = SSLContext.getInstance("TLSv1.3");
        trusting.init(null, new TrustManager[] {new TrustsAll()}, null);
        SSLEngine client = trusting.createSSLEngine();
        client.setUseClientMode(true);
        SSLEngine server = instance.createServerSslEngine("peer", 9093);
        ByteBuffer toServer = ByteBuffer.allocate(1 << 16);
        ByteBuffer toClient = ByteBuffer.allocate(1 << 16);
        for (int turn = 0; turn < 100 && !done(client, server); turn++) {
            step(client, toClient, toServer);
            step(server, toServer, toClient);
        }
        return Identity.sha256(client.getSession().getPeerCertificates()[0].getEncoded());
    }

    private static boolean done(SSLEngine client, SSLEngine server) {
        return client.getSession().isValid() && isIdle(client) && isIdle(server);
    }

    private static boolean isIdle(SSLEngine engine) {
        return engine.getHandshakeStatus() == HandshakeStatus.NOT_HANDSHAKING
            && !engine.getSession().getCipherSuite().endsWith("_NULL_NULL");
    }

    private static void step(SSLEngine engine, ByteBuffer in, ByteBuffer out) throws Exception {
        ByteBuffer plain = ByteBuffer.allocate(1 << 16);
        in.flip();
        while (in.hasRemaining() && engine.unwrap(in, plain).bytesConsumed() > 0) {
            runTasks(engine);
        }
        in.compact();
        runTasks(engine);
        while (engine.wrap(ByteBuffer.allocate(0), out).bytesProduced() > 0) {
            runTasks(engine);
        }
    }

    private static void runTasks(SSLEngine engine) {
        for (Runnable task = engine.getDelegatedTask(); task != null; task = engine.getDelegatedTask()) {
            task.run();
        }
    }

    private static final class TrustsAll implements X509TrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
