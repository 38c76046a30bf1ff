-- A report with parameters. By default it yields some 286,000 rows; from 2001-01-01 to 2001-07-01 it yields 571,000.

-- name: daily_routes
-- description: Flights and delays of every route on every day of a period
-- db: duckdb
-- param: since date = 2001-01-01
-- param: until date = 2001-04-01
-- retention: 7d
-- max_runtime: 5m
SELECT
  date::DATE             AS day,
  origin,
  destination,
  count(*)               AS flights,
  avg(delay)             AS mean_delay_minutes,
  max(delay)             AS worst_delay_minutes,
  max(distance)          AS miles
FROM '../../node_modules/vega-datasets/data/flights-3m.parquet'
WHERE date >= $1 AND date < $2
GROUP BY day, origin, destination
ORDER BY day, origin, destination;
