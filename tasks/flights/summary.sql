-- The demo report: 3 million flights become a row a month and origin for the busiest airports.

-- name: flights_by_month
-- description: Flights, delays and distance by month and origin, for the 20 busiest airports of 2001
-- db: duckdb
-- retention: 30d
-- max_runtime: 5m
WITH flown AS (
  SELECT date, delay, distance, origin
  FROM '../../node_modules/vega-datasets/data/flights-3m.parquet'
  WHERE date < TIMESTAMP '2001-07-01'  -- the six flights of July are stragglers, not a month
),
busiest AS (
  SELECT origin FROM flown GROUP BY origin ORDER BY count(*) DESC, origin LIMIT 20
)
SELECT
  date_trunc('month', date)::DATE                                  AS month,
  origin,
  count(*)                                                         AS flights,
  count(*) FILTER (delay > 15)                                     AS late_flights,
  (100.0 * count(*) FILTER (delay > 15) / count(*))::DECIMAL(5, 2) AS late_percent,
  avg(delay)::DECIMAL(9, 2)                                        AS mean_delay_minutes,
  quantile_cont(delay, 0.95)                                       AS p95_delay_minutes,
  sum(distance)::BIGINT                                            AS miles
FROM flown JOIN busiest USING (origin)
GROUP BY month, origin
ORDER BY month, flights DESC, origin;
