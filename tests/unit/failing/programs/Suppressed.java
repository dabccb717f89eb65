public class Suppressed {
    static class Table implements AutoCloseable {
        public void close() { throw new IllegalArgumentException("cannot close", new RuntimeException("already closed")); }
    }

    public static void main(String[] args) {
        try (Table t = new Table()) { throw new IllegalStateException("bad row 12"); }
    }
}
