package dev.kraftlet.ssl;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/** All instances of this JVM, and the one thread that loads and reports for them. */
final class Followers {
    /** Weak: Kafka does not close every factory that it tried (SslFactory.validateReconfiguration). */
    private static final Set<FileSslEngineFactory> ALL = Collections.newSetFromMap(new WeakHashMap<>());

    /** Whether a turn is asked for that has not begun: so at most one waits, however many handshakes there are. */
    private static final AtomicBoolean ASKED = new AtomicBoolean();

    /** One daemon thread, which goes when there is nothing to do. */
    static final ThreadPoolExecutor THREAD =
        new ThreadPoolExecutor(1, 1, 10, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), work -> {
            Thread thread = new Thread(work, "kraftlet-ssl-engine");
            thread.setDaemon(true);
            return thread;
        });

    static {
        THREAD.allowCoreThreadTimeOut(true);
    }

    private Followers() {}

    /** The stores of an instance with equal configuration, or new ones, loaded. */
    static Stores stores(Map<String, Object> ssl) {
        for (FileSslEngineFactory other : all()) {
            if (other.stores().areOf(ssl)) {
                return other.stores();
            }
        }
        return new Stores(ssl);
    }

    /** Adds an instance that has its stores. */
    static void join(FileSslEngineFactory instance) {
        synchronized (ALL) {
            ALL.add(instance);
        }
        wake();
    }

    /** Removes an instance. */
    static void leave(FileSslEngineFactory instance) {
        synchronized (ALL) {
            ALL.remove(instance);
        }
        wake();
    }

    /** Has the thread look at all files and report. Returns at once and never throws. */
    static void wake() {
        if (ASKED.compareAndSet(false, true)) {
            try {
                THREAD.execute(Followers::turn);
            } catch (RuntimeException | OutOfMemoryError noThread) {
                ASKED.set(false);
            }
        }
    }

    private static void turn() {
        // First, so that whoever comes from now on has a turn of his own.
        ASKED.set(false);
        List<FileSslEngineFactory> all = all();
        for (FileSslEngineFactory one : all) {
            one.stores().reload();
        }
        StatusFile.report(all);
    }

    private static List<FileSslEngineFactory> all() {
        synchronized (ALL) {
            return new ArrayList<>(ALL);
        }
    }
}
