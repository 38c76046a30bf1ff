-- Runs on a Postgres that the node's configuration calls "warehouse":
--
--   [db.warehouse]
--   type = "postgres"
--   dsn = "${WAREHOUSE_DSN}"
--
-- Without that source the task is left out, with a line in the node's log. It reads only the catalogue that every
-- Postgres has, so any database will do.

-- name: table_inventory
-- description: Tables and views of a Postgres database with their columns, size and estimated rows
-- db: warehouse
-- param: schema_pattern text = '%'
-- param: least_columns int = 1
-- retention: 7d
-- max_runtime: 1m
SELECT
  n.nspname::text                       AS schema_name,
  c.relname::text                       AS table_name,
  CASE c.relkind
    WHEN 'r' THEN 'table'
    WHEN 'p' THEN 'partitioned table'
    WHEN 'v' THEN 'view'
    WHEN 'm' THEN 'materialised view'
    WHEN 'f' THEN 'foreign table'
  END                                   AS kind,
  count(a.attnum)                       AS columns,
  greatest(c.reltuples, 0)::bigint      AS estimated_rows,
  pg_total_relation_size(c.oid)         AS bytes,
  obj_description(c.oid, 'pg_class')    AS comment
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname LIKE $1
GROUP BY c.oid, n.nspname, c.relname, c.relkind, c.reltuples
HAVING count(a.attnum) >= $2
ORDER BY bytes DESC, schema_name, table_name;
