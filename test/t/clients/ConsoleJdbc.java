// SPDX-License-Identifier: ISC
// The console by pgjdbc: extended protocol (its default), prepared beyond the threshold where it asks for binary, and
// simple.
import java.sql.*;
import java.util.Properties;

public class ConsoleJdbc {
    static void ok(boolean good, String name) {
        System.out.println((good ? "ok " : "not ok ") + name);
        if (!good)
            System.exit(1);
    }

    static void run(String url, String mode) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", "bhadmin");
        p.setProperty("password", "bhadmin");
        p.setProperty("preferQueryMode", mode);
        try (Connection c = DriverManager.getConnection(url, p)) {
            try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SHOW DATABASES")) {
                ok(r.next() && r.getString("name").equals("test") && r.getInt("port") > 0, mode + ": a Statement");
            }
            try (PreparedStatement s = c.prepareStatement("SHOW LISTS")) {
                int n = 0, first = 0;
                for (int i = 0; i < 12; i++) {
                    n = 0;
                    try (ResultSet r = s.executeQuery()) {
                        while (r.next())
                            if (n++ == 0)
                                first += r.getInt("items");
                    }
                }
                ok(n >= 14 && first == 24, mode + ": a PreparedStatement twelve times");
            }
            try (PreparedStatement s = c.prepareStatement("SHOW STATS")) {
                long n = 0;
                for (int i = 0; i < 8; i++)
                    try (ResultSet r = s.executeQuery()) {
                        while (r.next())
                            n += r.getLong("total_query_count");
                    }
                ok(n > 0, mode + ": numerics");
            }
            try (Statement s = c.createStatement()) {
                s.setMaxRows(3);
                int n = 0;
                try (ResultSet r = s.executeQuery("SHOW CONFIG LIKE 'server%'")) {
                    while (r.next()) {
                        ok(r.getString(1).startsWith("server"), mode + ": LIKE");
                        n++;
                    }
                }
                ok(n == 3 || !mode.equals("extended"), mode + ": setMaxRows");
            }
            try (Statement s = c.createStatement()) {
                ok(!s.execute("RELOAD"), mode + ": a command without a result");
                try {
                    s.execute("PAUSE nowhere");
                    ok(false, mode + ": an error");
                } catch (SQLException e) {
                    ok("08P01".equals(e.getSQLState()), mode + ": an error");
                }
            }
            ok(c.isValid(5), mode + ": isValid");
        }
    }

    public static void main(String[] args) throws Exception {
        run(args[0], "extended");
        run(args[0], "extendedForPrepared");
        run(args[0], "simple");
    }
}
