import java.util.List;

public class Cause {
    static void open() { throw new IllegalStateException("connection refused"); }

    static void load() {
        try { open(); } catch (IllegalStateException e) { throw new RuntimeException("cannot load order 7", e); }
    }

    public static void main(String[] args) {
        System.out.println("begin");
        try { load(); } catch (RuntimeException e) { throw new RuntimeException("the run failed", e); }
    }
}
