package dev.kraftlet.ssl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.types.Password;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileSslEngineFactoryTest {
    private static Identity first;
    private static Identity second;
    private static Identity rsa;

    @TempDir
    Path folder;

    @BeforeAll
    static void makeIdentities(@TempDir Path folder) throws Exception {
        first = new Identity(folder, "first", "EC");
        second = new Identity(folder, "second", "EC");
        rsa = new Identity(folder, "rsa", "RSA");
    }

    private static void awaitServed(FileSslEngineFactory instance, Identity want) throws Exception {
        Node.await("serves " + want.leaf.getSubjectX500Principal(), () -> Node.served(instance).equals(want.fingerprint()));
    }

    private static void awaitError(FileSslEngineFactory instance, String want) throws Exception {
        Node.await("an error with " + want, () -> {
            assertEquals(first.fingerprint(), Node.served(instance));
            String error = instance.stores().state().error;
            return error != null && error.contains(want);
        });
    }

    private static byte[] half(byte[] bytes) {
        return Arrays.copyOf(bytes, bytes.length / 2);
    }

    @Test
    void aHandshakeOfOneInstanceMakesAllOthersFollow() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            FileSslEngineFactory listener = node.instance("client");
            Map<String, Object> others = node.configs("controller");
            others.put("ssl.client.auth", "required");
            FileSslEngineFactory idle = node.instance(others);
            assertNotSame(listener.stores(), idle.stores());
            assertEquals(first.fingerprint(), Node.served(listener));
            for (Identity next : Arrays.asList(second, rsa, first)) {
                Identity.replace(node.keystore, next.keystorePem());
                awaitServed(listener, next);
                Node.await("the idle one follows", () -> next.fingerprint().equals(idle.stores().loaded().leaf));
            }
        }
    }

    @Test
    void instancesOfEqualConfigurationShareTheirStores() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            assertSame(node.instance("client").stores(), node.instance("internal").stores());
        }
    }

    @Test
    void aTornFileKeepsWhatIsLoadedAndIsNotReadAtEachHandshake() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            FileSslEngineFactory instance = node.instance("client");
            Identity.replace(node.keystore, half(second.keystorePem()));
            awaitError(instance, "PEM");
            Stores.State refused = instance.stores().state();
            for (int handshake = 0; handshake < 20; handshake++) {
                assertEquals(first.fingerprint(), Node.served(instance));
                assertSame(refused.error, instance.stores().state().error);
            }
            Identity.replace(node.keystore, second.keystorePem());
            awaitServed(instance, second);
            Node.await("no error is left", () -> instance.stores().state().error == null);
        }
    }

    @Test
    void aFileThatIsAwayOrEmptyOrATrustThatIsTornKeepsWhatIsLoaded() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            FileSslEngineFactory instance = node.instance("client");
            Files.delete(node.keystore);
            awaitError(instance, "keystore.pem");
            Identity.replace(node.keystore, new byte[0]);
            awaitError(instance, "PEM");
            Identity.replace(node.keystore, first.keystorePem());
            Node.await("no error is left", () -> Node.served(instance) != null && instance.stores().state().error == null);
            Identity.replace(node.truststore, half(second.certificatePem().getBytes("US-ASCII")));
            awaitError(instance, "PEM");
        }
    }

    @Test
    void aKeyOfAnotherLeafIsRefused() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            FileSslEngineFactory instance = node.instance("client");
            for (Identity other : Arrays.asList(second, rsa)) {
                Identity.replace(node.keystore, (other.keyPem() + first.certificatePem()).getBytes("US-ASCII"));
                awaitError(instance, "the keystore's key does not belong to its leaf");
                Identity.replace(node.keystore, first.keystorePem());
                Node.await("no error is left", () -> Node.served(instance) != null && instance.stores().state().error == null);
            }
            Identity.replace(node.keystore, (second.keyPem() + first.certificatePem()).getBytes("US-ASCII"));
            Map<String, Object> another = node.configs("internal");
            another.put("ssl.client.auth", "required");
            assertThrows(ConfigException.class, () -> new FileSslEngineFactory().configure(another));
        }
    }

    @Test
    void storesWithPasswordsAreFollowedToo() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            for (String type : Arrays.asList("PKCS12", "JKS")) {
                Path file = folder.resolve("keystore." + type);
                first.writeStore(file, type);
                FileSslEngineFactory instance = node.instance(Node.withStore(node.configs("client"), file, type));
                assertEquals(first.fingerprint(), Node.served(instance));
                rsa.writeStore(file, type);
                awaitServed(instance, rsa);
            }
        }
    }

    @Test
    void storesInTheConfigurationItselfAreKafkasBusiness() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            Map<String, Object> configs = node.configs("client");
            configs.remove("ssl.keystore.location");
            configs.remove("ssl.truststore.location");
            configs.put("ssl.keystore.certificate.chain", new Password(second.certificatePem()));
            configs.put("ssl.keystore.key", new Password(second.keyPem()));
            configs.put("ssl.truststore.certificates", new Password(second.certificatePem()));
            FileSslEngineFactory instance = node.instance(configs);
            assertEquals(second.fingerprint(), Node.served(instance));
            assertFalse(instance.stores().mayHaveChanged());
        }
    }

    @Test
    void aClientWithoutAKeyAndWithTheTrustOfTheJvmHasNeitherFingerprint() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            Map<String, Object> configs = node.configs("client");
            configs.remove("ssl.keystore.location");
            configs.remove("ssl.truststore.location");
            node.instance(configs).createClientSslEngine("peer", 9093, "https");
            Node.await("a report", () -> node.report().size() == 2
                && node.report().get(1).contains("\"side\":\"client\",\"leaf\":null,\"trust\":null,\"anchors\":[]"));
        }
    }

    @Test
    void aLinkIsFollowedToWhereItLeadsNow() throws Exception {
        Path data = Files.createSymbolicLink(folder.resolve("..data"), Files.createDirectory(folder.resolve("one")));
        try (Node node = new Node(Files.createDirectory(folder.resolve("node")), first, first)) {
            Files.write(folder.resolve("one/tls.pem"), first.keystorePem());
            Files.write(Files.createDirectory(folder.resolve("two")).resolve("tls.pem"), second.keystorePem());
            Map<String, Object> configs = node.configs("client");
            configs.put("ssl.keystore.location", data.resolve("tls.pem").toString());
            FileSslEngineFactory instance = node.instance(configs);
            assertEquals(first.fingerprint(), Node.served(instance));
            Path link = Files.createSymbolicLink(folder.resolve("..tmp"), folder.resolve("two"));
            Files.move(link, data, StandardCopyOption.ATOMIC_MOVE);
            awaitServed(instance, second);
        }
    }

    @Test
    void aSlowFileHoldsNoHandshakeUp() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            FileSslEngineFactory instance = node.instance("client");
            Path pipe = folder.resolve("pipe");
            assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
            // Whoever reads it waits for somebody who writes.
            Files.move(pipe, node.keystore, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            for (int handshake = 0; handshake < 50; handshake++) {
                assertEquals(first.fingerprint(), Node.served(instance));
            }
            Files.write(node.keystore, second.keystorePem());
            Identity.replace(node.keystore, rsa.keystorePem());
            awaitServed(instance, rsa);
        }
    }

    @Test
    void handshakesGoOnWhileFilesAreReplaced() throws Exception {
        Set<String> known = ConcurrentHashMap.newKeySet();
        known.addAll(Arrays.asList(first.fingerprint(), second.fingerprint()));
        AtomicBoolean ended = new AtomicBoolean();
        AtomicInteger handshakes = new AtomicInteger();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try (Node node = new Node(folder, first, first)) {
            FileSslEngineFactory instance = node.instance("client");
            Callable<Void> shake = () -> {
                while (!ended.get()) {
                    assertTrue(known.contains(Node.served(instance)));
                    handshakes.incrementAndGet();
                }
                return null;
            };
            List<Future<Void>> shaking = new ArrayList<>();
            for (int thread = 0; thread < 4; thread++) {
                shaking.add(threads.submit(shake));
            }
            for (int replacement = 0; replacement < 100; replacement++) {
                byte[] next = (replacement % 2 == 0 ? second : first).keystorePem();
                Identity.replace(node.keystore, replacement % 10 == 3 ? half(next) : next);
                int seen = handshakes.get();
                Node.await("handshakes go on", () -> handshakes.get() > seen || ended.get());
            }
            Identity.replace(node.keystore, rsa.keystorePem());
            known.add(rsa.fingerprint());
            awaitServed(instance, rsa);
            ended.set(true);
            for (Future<Void> one : shaking) {
                one.get();
            }
        } finally {
            ended.set(true);
            threads.shutdownNow();
        }
    }

    @Test
    void onlyOtherValuesMakeKafkaBuildAnother() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            FileSslEngineFactory instance = node.instance("client");
            Map<String, Object> same = new HashMap<>(node.configs("client"));
            assertFalse(instance.shouldBeRebuilt(same));
            Identity.replace(node.keystore, second.keystorePem());
            assertFalse(instance.shouldBeRebuilt(same));
            same.put("ssl.keystore.location", "/elsewhere");
            assertTrue(instance.shouldBeRebuilt(same));
        }
    }

    @Test
    void whatIsLoadedIsReportedForEachListenerAndSide() throws Exception {
        Files.createDirectory(folder.resolve("node"));
        try (Node node = new Node(folder.resolve("node"), first, second, first, second)) {
            Files.write(node.engine.resolve("status.jsonl"), "of a process that has ended".getBytes("US-ASCII"));
            FileSslEngineFactory server = node.instance("client");
            assertTrue(node.report().isEmpty() || node.report().get(0).startsWith("{\"process\":"));
            FileSslEngineFactory client = node.instance("controller");
            node.instance("never-used");
            node.instance("controller").createClientSslEngine("peer", 9093, "https");
            client.createClientSslEngine("peer", 9093, "https");
            Node.served(server);
            String[] anchors = {first.fingerprint(), second.fingerprint()};
            Arrays.sort(anchors);
            String trust = Identity.sha256((anchors[0] + anchors[1]).getBytes("US-ASCII"));
            String loaded = "\"leaf\":\"" + first.fingerprint() + "\",\"trust\":\"" + trust + "\",\"anchors\":[\""
                + anchors[0].substring(0, 8) + "\",\"" + anchors[1].substring(0, 8) + "\"],\"atMs\":"
                + server.stores().state().atMs + ",\"error\":null,\"instances\":";
            List<String> want = Arrays.asList(
                "{\"listener\":\"client\",\"side\":\"server\"," + loaded + "1}",
                "{\"listener\":\"controller\",\"side\":\"client\"," + loaded + "2}");
            Node.await("both are reported", () -> node.report().size() == 3 && node.report().subList(1, 3).equals(want));
            assertTrue(node.report().get(0).matches("\\{\"process\":\"[0-9a-f-]{36}\",\"lines\":2}"));
            client.close();
            Node.await("one is closed", () -> node.report().get(2).endsWith("\"instances\":1}"));
            Identity.replace(node.keystore, "\"\\ no key é".getBytes("UTF-8"));
            Node.await("the error is reported", () -> Node.served(server) != null
                && node.report().get(1).contains(first.fingerprint()) && node.report().get(1).contains("\"error\":\""));
            node.closeAll();
            Node.await("nothing is left", () -> node.report().get(0).endsWith("\"lines\":0}"));
        }
    }

    @Test
    void theReportHasABound() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            for (int listener = 0; listener < 200; listener++) {
                node.instance("listener-" + listener).createServerSslEngine("peer", 9093);
            }
            Node.await("a report", () -> !node.report().isEmpty() && node.report().get(0).endsWith("\"lines\":200}"));
            assertEquals(1 + StatusFile.MAX_LINES, node.report().size());
            assertTrue(Files.size(node.engine.resolve("status.jsonl")) < 64 * 1024);
        }
    }

    @Test
    void aFolderThatIsAwayHarmsNobodyAndIsWrittenToWhenItComes() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            Files.delete(node.engine);
            FileSslEngineFactory instance = node.instance("client");
            Identity.replace(node.keystore, second.keystorePem());
            awaitServed(instance, second);
            Files.createDirectory(node.engine);
            Node.await("a report", () -> Node.served(instance) != null && node.report().size() == 2);
        }
    }

    @Test
    void withoutAPlaceToReportToNothingIsReported() throws Exception {
        try (Node node = new Node(folder, first, first)) {
            Map<String, Object> configs = node.configs("client");
            configs.remove("kraftlet.log.dir");
            assertEquals(first.fingerprint(), Node.served(node.instance(configs)));
            // From 4.2 on the value is a list.
            configs.put("kraftlet.log.dir", Arrays.asList(node.engine.resolve("client").toString()));
            Node.served(node.instance(configs));
            Node.await("a report of one", () -> node.report().size() == 2);
        }
    }
}
