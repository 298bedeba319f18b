package dev.kraftlet.ssl;

import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.KeyStore;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.net.ssl.SSLEngine;
import org.apache.kafka.common.config.SslConfigs;
import org.apache.kafka.common.security.auth.SslEngineFactory;

/**
 * Kafka's own TLS engines, made from what the keystore and truststore files hold now (KIP-519).
 *
 * <p>At each new engine the files are looked at: one stat each. Where one has changed, a thread of its own loads them,
 * for all instances of this JVM; the handshake never waits for it and goes on with what is loaded. So one handshake on
 * any listener is enough for idle clients, the raft client above all, to follow too. Files that cannot be used change
 * nothing. What is loaded is written into a small file ({@link StatusFile}) that kraftlet reads.
 */
public final class FileSslEngineFactory implements SslEngineFactory {
    /**
     * The listener's own key that says where to report: {@code listener.name.<l>.kraftlet.log.dir=<folder>/<name>}.
     *
     * <p>Kafka tells a factory neither its listener nor any key that it does not know, but for those that end in a
     * known key behind their first dot (AbstractConfig.valuesWithPrefixOverride, made for SASL mechanisms), as this
     * one does. Without it nothing is reported.
     */
    static final String REPORT_TO = "kraftlet.log.dir";

    private Map<String, Object> configs;
    private Stores stores;
    private Path folder;
    private String listener;
    private volatile boolean asServer;
    private volatile boolean asClient;

    /** Loads the files; throws as Kafka's own factory does, so that Kafka does not start with files it cannot use. */
    @Override
    public void configure(Map<String, ?> configs) {
        this.configs = new HashMap<>(configs);
        Path place = place(configs.get(REPORT_TO));
        folder = place == null ? null : place.getParent();
        listener = place == null ? null : place.getFileName().toString();
        StatusFile.begin(folder);
        stores = Followers.stores(ssl(configs));
        Followers.join(this);
    }

    @Override
    public SSLEngine createClientSslEngine(String peerHost, int peerPort, String endpointIdentification) {
        if (!asClient) {
            asClient = true;
            Followers.wake();
        }
        return follow().engines.createClientSslEngine(peerHost, peerPort, endpointIdentification);
    }

    @Override
    public SSLEngine createServerSslEngine(String peerHost, int peerPort) {
        if (!asServer) {
            asServer = true;
            Followers.wake();
        }
        return follow().engines.createServerSslEngine(peerHost, peerPort);
    }

    /** Only for other values: files are followed without Kafka. */
    @Override
    public boolean shouldBeRebuilt(Map<String, Object> nextConfigs) {
        return !configs.equals(nextConfigs);
    }

    @Override
    public Set<String> reconfigurableConfigs() {
        return SslConfigs.RECONFIGURABLE_CONFIGS;
    }

    @Override
    public KeyStore keystore() {
        return stores.loaded().engines.keystore();
    }

    @Override
    public KeyStore truststore() {
        return stores.loaded().engines.truststore();
    }

    @Override
    public void close() {
        Followers.leave(this);
    }

    Stores stores() {
        return stores;
    }

    /** Where to report, or null. */
    Path folder() {
        return folder;
    }

    String listener() {
        return listener;
    }

    /**
     * What Kafka has made engines for so far, or null. On the listener between brokers it tries both when it starts.
     */
    String side() {
        if (asServer) {
            return asClient ? "both" : "server";
        }
        return asClient ? "client" : null;
    }

    private Loaded follow() {
        if (stores.mayHaveChanged() || StatusFile.isDue()) {
            Followers.wake();
        }
        return stores.loaded();
    }

    /** What two instances must have in common to share their stores: the keys of Kafka's own factory. */
    private static Map<String, Object> ssl(Map<String, ?> configs) {
        Map<String, Object> ssl = new TreeMap<>();
        for (String key : configs.keySet()) {
            if (key.startsWith("ssl.")) {
                // By `get`, or Kafka would call the key unused.
                ssl.put(key, configs.get(key));
            }
        }
        return ssl;
    }

    /** Kafka parses the value as what `log.dir` is: a string, and from 4.2 on a list. */
    private static Path place(Object value) {
        if (value instanceof List) {
            StringBuilder joined = new StringBuilder();
            for (Object part : (List<?>) value) {
                joined.append(joined.length() == 0 ? "" : ",").append(part);
            }
            return place(joined.toString());
        }
        Path place = value == null ? null : Paths.get(value.toString());
        return place == null || place.getParent() == null ? null : place;
    }
}
