import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/**
 * Answers what the real java.util.Properties reads in a file, for a test that asks thousands of times.
 *
 * Standard input: a file as its length (int) and its bytes, again and again. Standard output, for each: -1 if the file
 * is refused, else the number of pairs and each key and value as length and UTF-16 (big endian), in the order in which
 * they stand in the file, duplicates included.
 */
public final class PropertiesOracle {
    /** Keeps what the map itself forgets: order and duplicates. */
    private static final class Recording extends Properties {
        final transient List<String> strings = new ArrayList<>();

        @Override
        public synchronized Object put(Object key, Object value) {
            strings.add((String) key);
            strings.add((String) value);
            return super.put(key, value);
        }
    }

    public static void main(String[] args) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out));
        while (true) {
            int length;
            try {
                length = in.readInt();
            } catch (EOFException end) {
                return;
            }
            answer(in.readNBytes(length), out);
            out.flush();
        }
    }

    private static void answer(byte[] file, DataOutputStream out) throws Exception {
        Recording properties = new Recording();
        try {
            properties.load(new ByteArrayInputStream(file));
        } catch (IllegalArgumentException malformed) {
            out.writeInt(-1);
            return;
        }
        out.writeInt(properties.strings.size() / 2);
        for (String string : properties.strings) {
            byte[] bytes = string.getBytes(StandardCharsets.UTF_16BE);
            // The encoder replaces half a surrogate pair by U+FFFD, as kraftlet does.
            out.writeInt(bytes.length);
            out.write(bytes);
        }
    }
}
