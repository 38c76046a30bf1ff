-- The whole data set: 3 million rows to scroll, filter and pivot in the browser.

-- name: all_flights
-- description: Every flight: when, from where, to where, how far and how late
-- db: duckdb
-- retention: 7d
-- max_runtime: 10m
SELECT
  date         AS departed_at,
  origin,
  destination,
  distance     AS miles,
  delay        AS delay_minutes
FROM '../../node_modules/vega-datasets/data/flights-3m.parquet'
ORDER BY departed_at, origin, destination;
