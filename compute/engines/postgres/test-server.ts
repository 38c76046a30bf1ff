/** The real PostgreSQL of the tests; it lives in `test/support`, so that tests under Node can use it too. */
export { type PostgresOptions, type PostgresServer, startPostgres } from '../../../test/support/postgres.ts'
