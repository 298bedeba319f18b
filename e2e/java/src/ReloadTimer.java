import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;

import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.config.ConfigResource;

/**
 * The time that Kafka itself takes to serve another leaf on all listeners of a node, without kraftlet.
 *
 * <pre>
 * ReloadTimer CLIENT_PROPERTIES KEYSTORE ONE_KEYSTORE OTHER_KEYSTORE ROUNDS NODE_ID HOST:PORT...
 * </pre>
 *
 * In each round the keystore is replaced by the one or the other, Kafka is asked by the Admin API to read it, and all
 * listeners are shaken hands with until each has shown the new leaf several times in a row, for its network threads
 * reload one after another. Prints the milliseconds from the request to the first of the last handshakes of the slowest
 * listener, a line for each round.
 */
public final class ReloadTimer {
    private static final int TIMEOUT_MS = 5_000;
    private static final int IN_A_ROW = 6;
    private static final long ROUND_AT_MOST_NS = TimeUnit.SECONDS.toNanos(20);

    public static void main(String[] args) throws Exception {
        if (args.length < 7) {
            System.err.println(
                "usage: ReloadTimer CLIENT_PROPERTIES KEYSTORE ONE_KEYSTORE OTHER_KEYSTORE ROUNDS NODE_ID HOST:PORT...");
            System.exit(64);
        }
        Properties properties = ClusterClient.load(args[0]);
        Path keystore = Path.of(args[1]);
        SSLContext context = ClusterClient.context(properties);
        List<String> addresses = Arrays.asList(args).subList(6, args.length);
        try (Admin admin = Admin.create(properties)) {
            for (int round = 0; round < Integer.parseInt(args[4]); round++) {
                Path next = Path.of(args[2 + round % 2]);
                X509Certificate leaf = (X509Certificate) ClusterClient.certificates(Files.readString(next)).iterator().next();
                Path beside = keystore.resolveSibling("keystore.next");
                Files.copy(next, beside, StandardCopyOption.REPLACE_EXISTING);
                Files.move(beside, keystore, StandardCopyOption.ATOMIC_MOVE);
                long asked = System.nanoTime();
                reload(admin, args[5]);
                System.out.println((allServe(context, addresses, ClusterClient.fingerprint(leaf), asked) - asked) / 1_000_000);
            }
        }
    }

    /** Deletes what is not set: nothing is left behind, and all listeners of the node read their files. */
    private static void reload(Admin admin, String nodeId) throws Exception {
        ConfigResource node = new ConfigResource(ConfigResource.Type.BROKER, nodeId);
        AlterConfigOp delete = new AlterConfigOp(
            new ConfigEntry("listener.name.client.ssl.keystore.location", ""), AlterConfigOp.OpType.DELETE);
        admin.incrementalAlterConfigs(Map.of(node, List.of(delete))).all().get(20, TimeUnit.SECONDS);
    }

    private static long allServe(SSLContext context, List<String> addresses, String wanted, long asked) throws Exception {
        int[] inARow = new int[addresses.size()];
        long[] since = new long[addresses.size()];
        while (Arrays.stream(inARow).min().orElse(0) < IN_A_ROW) {
            if (System.nanoTime() - asked > ROUND_AT_MOST_NS) {
                throw new IllegalStateException("Kafka has not served the new leaf on all listeners within 20 s");
            }
            for (int index = 0; index < addresses.size(); index++) {
                if (inARow[index] >= IN_A_ROW) {
                    continue;
                }
                boolean isNew = served(context, addresses.get(index)).equals(wanted);
                if (isNew && inARow[index] == 0) {
                    since[index] = System.nanoTime();
                }
                inARow[index] = isNew ? inARow[index] + 1 : 0;
            }
        }
        return Arrays.stream(since).max().orElse(asked);
    }

    private static String served(SSLContext context, String address) throws Exception {
        int colon = address.lastIndexOf(':');
        try (Socket socket = new Socket()) {
            socket.connect(
                new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1))), TIMEOUT_MS);
            socket.setSoTimeout(TIMEOUT_MS);
            SSLSocket named = ClusterClient.named(context, socket, address);
            // Resumed, the next handshake would show what this one has shown.
            named.getSession().invalidate();
            return ClusterClient.fingerprint((X509Certificate) named.getSession().getPeerCertificates()[0]);
        }
    }
}
