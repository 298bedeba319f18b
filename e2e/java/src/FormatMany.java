import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Runs Kafka's own storage tool many times in one process, because a JVM per case would take most of the time.
 *
 * Takes a folder with `NAME.args` (one argument a line, UTF-8) and writes `NAME.out`: the exit code on the first line,
 * then everything that the tool printed.
 */
public final class FormatMany {
    /** What the tool's exit becomes, so that the process goes on to the next case. */
    private static final class Exited extends RuntimeException {
        final int code;

        Exited(int code, String message) {
            super(message);
            this.code = code;
        }
    }

    public static void main(String[] args) throws Exception {
        neverExit();
        List<Path> jobs;
        try (Stream<Path> files = Files.list(Path.of(args[0]))) {
            jobs = files.filter(file -> file.toString().endsWith(".args")).sorted().collect(Collectors.toList());
        }
        for (Path job : jobs) {
            String name = job.getFileName().toString().replaceAll("\\.args$", "");
            Files.writeString(job.resolveSibling(name + ".out"), format(Files.readAllLines(job)));
        }
    }

    /** Kafka's own switch for tests. Its package changed with 4.4, so it is found by name. */
    private static void neverExit() throws ReflectiveOperationException {
        Class<?> exit;
        try {
            exit = Class.forName("org.apache.kafka.common.utils.internals.Exit");
        } catch (ClassNotFoundException before44) {
            exit = Class.forName("org.apache.kafka.common.utils.Exit");
        }
        Class<?> procedure = Class.forName(exit.getName() + "$Procedure");
        InvocationHandler handler = (proxy, method, arguments) -> {
            throw new Exited((Integer) arguments[0], (String) arguments[1]);
        };
        Object throwing = Proxy.newProxyInstance(exit.getClassLoader(), new Class<?>[] {procedure}, handler);
        exit.getMethod("setExitProcedure", procedure).invoke(null, throwing);
    }

    private static String format(List<String> arguments) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream captured = new ByteArrayOutputStream();
        PrintStream printer = new PrintStream(captured, true, StandardCharsets.UTF_8);
        System.setOut(printer);
        System.setErr(printer);
        int code = 0;
        try {
            // Scala's Console keeps the stream it saw first, so the code of the exit matters more than the text.
            kafka.tools.StorageTool.main(arguments.toArray(new String[0]));
        } catch (Exited exited) {
            code = exited.code;
            if (exited.getMessage() != null) {
                printer.println(exited.getMessage());
            }
        } catch (Throwable unexpected) {
            code = 99;
            unexpected.printStackTrace(printer);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        return code + "\n" + captured.toString(StandardCharsets.UTF_8);
    }
}
