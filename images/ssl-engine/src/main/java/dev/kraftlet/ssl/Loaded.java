package dev.kraftlet.ssl;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.SslConfigs;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.security.ssl.DefaultSslEngineFactory;

/** Stores that were loaded and can be used, with their fingerprints: SHA-256 over DER, in lower-case hex. */
final class Loaded {
    final DefaultSslEngineFactory engines;
    /** The leaf's fingerprint; null where there is no key. */
    final String leaf;
    /** The fingerprints of all trust anchors. */
    final SortedSet<String> anchors;
    /** SHA-256 over the anchors' sorted fingerprints, one behind another; null where the JVM's own are used. */
    final String trust;

    private Loaded(DefaultSslEngineFactory engines, String leaf, SortedSet<String> anchors, String trust) {
        this.engines = engines;
        this.leaf = leaf;
        this.anchors = anchors;
        this.trust = trust;
    }

    static Loaded from(Map<String, Object> configs) {
        DefaultSslEngineFactory engines = new DefaultSslEngineFactory();
        engines.configure(configs);
        try {
            String leaf = leaf(engines.keystore(), configs);
            SortedSet<String> anchors = anchors(engines.truststore());
            return new Loaded(engines, leaf, anchors, engines.truststore() == null ? null : together(anchors));
        } catch (GeneralSecurityException unusable) {
            throw new ConfigException("the stores cannot be used: " + unusable.getMessage());
        }
    }

    private static String leaf(KeyStore keystore, Map<String, Object> configs) throws GeneralSecurityException {
        if (keystore == null) {
            return null;
        }
        String first = null;
        for (String alias : Collections.list(keystore.aliases())) {
            if (keystore.isKeyEntry(alias)) {
                Certificate leaf = keystore.getCertificate(alias);
                prove(key(keystore, alias, configs), leaf);
                first = first == null ? fingerprint(leaf.getEncoded()) : first;
            }
        }
        return first;
    }

    /**
     * Signs something and verifies it: neither Java nor Kafka notice a key that belongs to another leaf. Keys of other
     * kinds than RSA and EC are taken as they are.
     */
    private static void prove(Key key, Certificate leaf) throws GeneralSecurityException {
        String kind = leaf.getPublicKey().getAlgorithm();
        if (!kind.equals("RSA") && !kind.equals("EC")) {
            return;
        }
        boolean belongs = key.getAlgorithm().equals(kind);
        if (belongs) {
            byte[] something = {1, 2, 3};
            String algorithm = kind.equals("RSA") ? "SHA256withRSA" : "SHA256withECDSA";
            Signature signing = Signature.getInstance(algorithm);
            signing.initSign((PrivateKey) key);
            signing.update(something);
            byte[] signature = signing.sign();
            Signature verifying = Signature.getInstance(algorithm);
            verifying.initVerify(leaf.getPublicKey());
            verifying.update(something);
            belongs = verifying.verify(signature);
        }
        if (!belongs) {
            throw new ConfigException("the keystore's key does not belong to its leaf");
        }
    }

    /** The key, by its own password or that of its store, as Kafka's own factory reads it. */
    private static Key key(KeyStore keystore, String alias, Map<String, Object> configs) throws GeneralSecurityException {
        Password own = (Password) configs.get(SslConfigs.SSL_KEY_PASSWORD_CONFIG);
        Password password = own != null ? own : (Password) configs.get(SslConfigs.SSL_KEYSTORE_PASSWORD_CONFIG);
        char[] characters = password == null ? null : password.value().toCharArray();
        try {
            return keystore.getKey(alias, characters);
        } finally {
            if (characters != null) {
                Arrays.fill(characters, '\0');
            }
        }
    }

    /** What Java trusts of a store: the certificate of each entry. */
    private static SortedSet<String> anchors(KeyStore truststore) throws GeneralSecurityException {
        SortedSet<String> anchors = new TreeSet<>();
        if (truststore != null) {
            for (String alias : Collections.list(truststore.aliases())) {
                Certificate anchor = truststore.getCertificate(alias);
                if (anchor != null) {
                    anchors.add(fingerprint(anchor.getEncoded()));
                }
            }
        }
        return anchors;
    }

    private static String together(SortedSet<String> anchors) throws GeneralSecurityException {
        return fingerprint(String.join("", anchors).getBytes(StandardCharsets.US_ASCII));
    }

    private static String fingerprint(byte[] bytes) throws GeneralSecurityException {
        StringBuilder hex = new StringBuilder(64);
        for (byte one : MessageDigest.getInstance("SHA-256").digest(bytes)) {
            hex.append(Character.forDigit(one >> 4 & 15, 16)).append(Character.forDigit(one & 15, 16));
        }
        return hex.toString();
    }
}
