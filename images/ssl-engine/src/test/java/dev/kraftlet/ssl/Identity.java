package dev.kraftlet.ssl;

import java.io.File;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.Base64;

/** A key and its self-signed leaf, made by the JDK's own keytool, in every form that Kafka reads. */
final class Identity {
    static final String STORE_PASSWORD = "store-password";
    static final String KEY_PASSWORD = "key-password";

    final PrivateKey key;
    final X509Certificate leaf;

    /** `algorithm` is EC or RSA. */
    Identity(Path folder, String name, String algorithm) throws Exception {
        Path file = folder.resolve(name + ".p12");
        Process keytool = new ProcessBuilder(
            System.getProperty("java.home") + File.separator + "bin" + File.separator + "keytool", "-genkeypair",
            "-keyalg", algorithm, "-dname", "CN=" + name, "-alias", "one", "-validity", "30", "-storetype", "PKCS12",
            "-keystore", file.toString(), "-storepass", STORE_PASSWORD).redirectErrorStream(true).start();
        try (InputStream said = keytool.getInputStream()) {
            while (said.read() >= 0) {
                continue;
            }
        }
        if (keytool.waitFor() != 0) {
            throw new IllegalStateException("keytool made no key");
        }
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream bytes = Files.newInputStream(file)) {
            store.load(bytes, STORE_PASSWORD.toCharArray());
        }
        key = (PrivateKey) store.getKey("one", STORE_PASSWORD.toCharArray());
        leaf = (X509Certificate) store.getCertificate("one");
    }

    String fingerprint() throws Exception {
        return sha256(leaf.getEncoded());
    }

    String certificatePem() throws Exception {
        return pem("CERTIFICATE", leaf.getEncoded());
    }

    String keyPem() {
        return pem("PRIVATE KEY", key.getEncoded());
    }

    byte[] keystorePem() throws Exception {
        return (keyPem() + certificatePem()).getBytes(StandardCharsets.US_ASCII);
    }

    /** A PKCS12 or JKS file; of PKCS12 all passwords are that of the store, as keytool wants it. */
    void writeStore(Path file, String type) throws Exception {
        KeyStore store = KeyStore.getInstance(type);
        store.load(null, null);
        String password = type.equals("JKS") ? KEY_PASSWORD : STORE_PASSWORD;
        store.setKeyEntry("one", key, password.toCharArray(), new X509Certificate[] {leaf});
        Path temporary = file.resolveSibling("store.tmp");
        try (java.io.OutputStream out = Files.newOutputStream(temporary)) {
            store.store(out, STORE_PASSWORD.toCharArray());
        }
        Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    }

    static void replace(Path file, byte[] bytes) throws Exception {
        Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
        Files.write(temporary, bytes);
        Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    }

    static String sha256(byte[] bytes) throws Exception {
        StringBuilder hex = new StringBuilder();
        for (byte one : MessageDigest.getInstance("SHA-256").digest(bytes)) {
            hex.append(String.format("%02x", one));
        }
        return hex.toString();
    }

    private static String pem(String what, byte[] der) {
        String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
        return "-----BEGIN " + what + "-----\n" + text + "\n-----END " + what + "-----\n";
    }
}
