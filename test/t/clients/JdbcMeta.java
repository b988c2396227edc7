// SPDX-License-Identifier: ISC
// pgjdbc's DatabaseMetaData, as Hibernate and tools ask it. Prints "ok NAME" or "not ok NAME: why".
import java.sql.*;

public class JdbcMeta {
    interface Step { boolean run() throws Exception; }

    static void step(String name, Step s) {
        try {
            System.out.println((s.run() ? "ok " : "not ok ") + name);
        } catch (Exception e) {
            System.out.println("not ok " + name + ": " + e.getMessage().replace("\n", " "));
        }
    }

    // Does a row have this value in that column?
    static boolean has(ResultSet r, String column, String value) throws Exception {
        boolean found = false;
        while (r.next())
            found |= value.equals(r.getString(column));
        r.close();
        return found;
    }

    public static void main(String[] args) throws Exception {
        Connection c = DriverManager.getConnection(args[0]);
        DatabaseMetaData m = c.getMetaData();
        step("getTables", () -> has(m.getTables(null, "public", "%", new String[] { "TABLE", "VIEW" }), "TABLE_NAME", "docs"));
        step("getTables of all kinds", () -> has(m.getTables(null, null, "%", null), "TABLE_NAME", "notes_doc"));
        step("getColumns", () -> has(m.getColumns(null, "public", "docs", "%"), "COLUMN_NAME", "title"));
        step("getPrimaryKeys", () -> has(m.getPrimaryKeys(null, "public", "docs"), "COLUMN_NAME", "id"));
        step("getImportedKeys", () -> has(m.getImportedKeys(null, "public", "notes"), "PKTABLE_NAME", "docs"));
        step("getExportedKeys", () -> has(m.getExportedKeys(null, "public", "docs"), "FKTABLE_NAME", "notes"));
        step("getCrossReference", () -> has(m.getCrossReference(null, "public", "docs", null, "public", "notes"), "FKCOLUMN_NAME", "doc"));
        step("getIndexInfo", () -> has(m.getIndexInfo(null, "public", "notes", false, true), "INDEX_NAME", "notes_doc"));
        step("getIndexInfo shows no sizes", () -> {
            ResultSet r = m.getIndexInfo(null, "public", "docs", false, true);
            return r.next() && r.getString("CARDINALITY") == null && r.getString("PAGES") == null;
        });
        step("getTypeInfo", () -> has(m.getTypeInfo(), "TYPE_NAME", "mood"));
        step("getSchemas", () -> has(m.getSchemas(), "TABLE_SCHEM", "public"));
        step("getTableTypes", () -> has(m.getTableTypes(), "TABLE_TYPE", "VIEW"));
        step("getFunctions", () -> has(m.getFunctions(null, "public", "%"), "FUNCTION_NAME", "f_docs"));
        step("getFunctionColumns", () -> has(m.getFunctionColumns(null, "public", "%", "%"), "TYPE_NAME", "int4"));
        step("getProcedureColumns", () -> has(m.getProcedureColumns(null, "public", "%", "%"), "TYPE_NAME", "int4"));
        step("getTablePrivileges", () -> has(m.getTablePrivileges(null, "public", "docs"), "PRIVILEGE", "SELECT"));
        step("getColumnPrivileges", () -> has(m.getColumnPrivileges(null, "public", "docs", "%"), "COLUMN_NAME", "title"));
        step("getBestRowIdentifier", () -> has(m.getBestRowIdentifier(null, "public", "docs", 0, false), "COLUMN_NAME", "id"));
        step("getVersionColumns", () -> has(m.getVersionColumns(null, "public", "docs"), "COLUMN_NAME", "ctid"));
        step("getUDTs", () -> has(m.getUDTs(null, "public", "%", null), "TYPE_NAME", "word"));
        step("names, indexes, keywords", () -> m.getMaxColumnNameLength() == 63 && m.getMaxColumnsInIndex() == 32 && m.getSQLKeywords().length() > 100);
        step("getDefaultTransactionIsolation", () -> m.getDefaultTransactionIsolation() == Connection.TRANSACTION_READ_COMMITTED);
        step("ResultSetMetaData", () -> {
            ResultSet r = c.createStatement().executeQuery("SELECT id, m, tags FROM docs WHERE tenant_id = 'acme'");
            ResultSetMetaData d = r.getMetaData();
            return d.isAutoIncrement(1) && d.getColumnTypeName(2).equals("mood") && d.getTableName(3).equals("docs");
        });
        step("updatable result set", () -> {
            ResultSet r = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)
                .executeQuery("SELECT id, title FROM docs WHERE tenant_id = 'acme' AND id = 2");
            return r.next() && r.getString(2).equals("title 2");
        });
        step("isValid", () -> c.isValid(5));
        c.close();
    }
}
