package dev.kraftlet.ssl;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/**
 * The file {@code status.jsonl} in which a JVM says what its instances have loaded: written whole and renamed, so that
 * a reader sees one state or the next.
 *
 * <p>The first line names the process and counts the lines that follow. Each of those is for the instances of one
 * listener and side that share their stores, and so are always in one state. Its size is bounded by
 * {@link #MAX_LINES}; if there were more, the count would say so. What an ended process left is deleted before the
 * first load. That it cannot be written harms nobody: it is tried again.
 *
 * <p>An instance is in it once Kafka has made an engine of it: Kafka makes others only to try new values, and does not
 * close them (SslFactory.validateReconfiguration).
 */
final class StatusFile {
    static final String NAME = "status.jsonl";
    static final int MAX_LINES = 48;
    private static final int MAX_ANCHORS = 16;
    private static final long RETRY_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final String PROCESS = UUID.randomUUID().toString();

    private static final Set<Path> BEGUN = new HashSet<>();
    /** What was last written into each folder; only the one thread of {@link Followers} uses it. */
    private static final Map<Path, String> WRITTEN = new HashMap<>();
    private static volatile boolean failed;
    private static volatile long failedNanos;

    private StatusFile() {}

    /** Deletes what an ended process left in a folder, once. */
    static void begin(Path folder) {
        synchronized (BEGUN) {
            if (folder != null && BEGUN.add(folder)) {
                try {
                    Files.deleteIfExists(folder.resolve(NAME));
                } catch (IOException | SecurityException stays) {
                    failed(stays);
                }
            }
        }
    }

    /** Whether a file that could not be written should be tried again. */
    static boolean isDue() {
        return failed && System.nanoTime() - failedNanos >= RETRY_NANOS;
    }

    /** Writes the state of these instances, where it has changed. */
    static void report(List<FileSslEngineFactory> instances) {
        Map<Path, SortedMap<String, Integer>> folders = new HashMap<>();
        for (Path folder : WRITTEN.keySet()) {
            folders.put(folder, new TreeMap<>());
        }
        for (FileSslEngineFactory one : instances) {
            if (one.folder() != null && one.side() != null) {
                folders.computeIfAbsent(one.folder(), folder -> new TreeMap<>()).merge(line(one), 1, Integer::sum);
            }
        }
        failed = false;
        folders.forEach((folder, lines) -> {
            String text = text(lines);
            if (!text.equals(WRITTEN.get(folder)) || !Files.exists(folder.resolve(NAME))) {
                try {
                    write(folder, text);
                    WRITTEN.put(folder, text);
                    if (lines.isEmpty()) {
                        WRITTEN.remove(folder);
                    }
                } catch (IOException | RuntimeException full) {
                    failed(full);
                }
            }
        });
    }

    private static void write(Path folder, String text) throws IOException {
        Path temporary = folder.resolve(NAME + ".tmp");
        Files.write(temporary, text.getBytes(StandardCharsets.UTF_8));
        // Nothing in it is secret, and the reader may be another user.
        Files.setPosixFilePermissions(temporary, PosixFilePermissions.fromString("rw-r--r--"));
        Files.move(temporary, folder.resolve(NAME), StandardCopyOption.ATOMIC_MOVE);
    }

    private static void failed(Exception reason) {
        failedNanos = System.nanoTime();
        failed = true;
    }

    private static String text(SortedMap<String, Integer> lines) {
        StringBuilder text = new StringBuilder();
        text.append("{\"process\":").append(quoted(PROCESS)).append(",\"lines\":").append(lines.size()).append("}\n");
        int written = 0;
        for (Map.Entry<String, Integer> line : lines.entrySet()) {
            if (written++ < MAX_LINES) {
                text.append(line.getKey()).append(",\"instances\":").append(line.getValue()).append("}\n");
            }
        }
        return text.toString();
    }

    /** What is said of an instance, without the end that counts those of which the same is said. */
    private static String line(FileSslEngineFactory one) {
        Stores.State state = one.stores().state();
        StringBuilder anchors = new StringBuilder();
        int count = 0;
        for (String anchor : state.loaded.anchors) {
            if (count++ < MAX_ANCHORS) {
                anchors.append(anchors.length() == 0 ? "" : ",").append(quoted(anchor.substring(0, 8)));
            }
        }
        return "{\"listener\":" + quoted(one.listener())
            + ",\"side\":" + quoted(one.side())
            + ",\"leaf\":" + quoted(state.loaded.leaf)
            + ",\"trust\":" + quoted(state.loaded.trust)
            + ",\"anchors\":[" + anchors + "]"
            + ",\"atMs\":" + state.atMs
            + ",\"error\":" + quoted(state.error);
    }

    /** A JSON string, or null. */
    private static String quoted(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else {
                // Anything but ASCII is of no use here, and half a surrogate pair would be no JSON.
                quoted.append(c < ' ' || c > '~' ? '?' : c);
            }
        }
        return quoted.append('"').toString();
    }
}
