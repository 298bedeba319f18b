package dev.kraftlet.ssl;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.config.SslConfigs;

/**
 * A keystore and a truststore, what was last loaded from them, and why what lies there now may not be loaded.
 *
 * <p>All instances with equal configuration share one: a combined node has about twenty, and loading takes 9 ms.
 */
final class Stores {
    private static final long RETRY_NANOS = TimeUnit.SECONDS.toNanos(5);
    private static final int MAX_ERROR = 300;

    private final Map<String, Object> configs;
    private final List<Path> files = new ArrayList<>();
    private volatile State state;

    /** Loads; throws what Kafka's own factory throws, or the reason why the key cannot be used. */
    Stores(Map<String, Object> configs) {
        this.configs = configs;
        // Stores in the configuration itself (inline PEM) have no location: nothing to follow.
        for (String key : Arrays.asList(SslConfigs.SSL_KEYSTORE_LOCATION_CONFIG, SslConfigs.SSL_TRUSTSTORE_LOCATION_CONFIG)) {
            if (configs.get(key) != null) {
                files.add(Paths.get(configs.get(key).toString()));
            }
        }
        List<Object> found = identity();
        state = new State(Loaded.from(configs), found, null);
    }

    boolean areOf(Map<String, Object> others) {
        return configs.equals(others);
    }

    /** Whether a reload may bring something: other files than last time, or 5 s since they were refused. */
    boolean mayHaveChanged() {
        State last = state;
        return !identity().equals(last.identity)
            || last.error != null && System.nanoTime() - last.atNanos >= RETRY_NANOS;
    }

    /** Loads what lies there now, if it may bring something. What cannot be used changes nothing but the error. */
    void reload() {
        if (!mayHaveChanged()) {
            return;
        }
        // Before the files are read: what is replaced meanwhile has another identity and is loaded next time.
        List<Object> found = identity();
        try {
            state = new State(Loaded.from(configs), found, null);
        } catch (Exception | LinkageError | OutOfMemoryError refused) {
            state = new State(state.loaded, found, sentence(refused));
        }
    }

    Loaded loaded() {
        return state.loaded;
    }

    State state() {
        return state;
    }

    /** Inode, size and time of change of each file, behind symbolic links; a file that cannot be seen has none. */
    private List<Object> identity() {
        List<Object> identity = new ArrayList<>(6);
        for (Path file : files) {
            try {
                BasicFileAttributes found = Files.readAttributes(file, BasicFileAttributes.class);
                identity.add(found.fileKey());
                identity.add(found.size());
                identity.add(found.lastModifiedTime());
            } catch (IOException | SecurityException unseen) {
                identity.add(unseen.getClass());
            }
        }
        return identity;
    }

    /** What an exception and its causes say, on one line and not too long. */
    private static String sentence(Throwable refused) {
        StringBuilder text = new StringBuilder();
        int depth = 0;
        for (Throwable one = refused; one != null && depth < 5; one = one.getCause(), depth++) {
            String message = one.getMessage() == null ? one.getClass().getSimpleName() : one.getMessage();
            if (text.indexOf(message) < 0) {
                text.append(text.length() == 0 ? "" : ": ").append(message);
            }
        }
        String line = text.toString().replaceAll("\\s+", " ").trim();
        return line.length() <= MAX_ERROR ? line : line.substring(0, MAX_ERROR);
    }

    /** What is loaded, and what came of the last look. */
    static final class State {
        final Loaded loaded;
        /** Why the files that were last seen are not what is loaded, or null. */
        final String error;
        final long atMs = System.currentTimeMillis();
        private final long atNanos = System.nanoTime();
        private final List<Object> identity;

        State(Loaded loaded, List<Object> identity, String error) {
            this.loaded = loaded;
            this.identity = identity;
            this.error = error;
        }
    }
}
