import { z } from 'zod'

/**
 * Names and identifiers of the contract, as branded strings: a `JobId` cannot be passed where a `TenantId` is asked for.
 * Everything here stays within `[A-Za-z0-9._/-]`, because all of it ends up in object keys that four kinds of
 * Iceberg readers must be able to fetch.
 */

/** Crockford's base32 in lower case: no i, l, o, u. */
export const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * A job's id: 26 characters of Crockford base32. 10 characters of milliseconds since 1970, 6 of the ledger's tag
 * (which ledger made it), 4 of a counter within the millisecond, 6 random. Sorting ids of one ledger sorts by submission.
 */
export const JobId = z
  .string()
  .regex(/^[0-9a-hjkmnp-tv-z]{26}$/, 'a job id is 26 characters of lower-case Crockford base32')
  .brand<'JobId'>()
export type JobId = z.infer<typeof JobId>

/** A result's id: `r` and the id of the job that wrote it. */
export const ResultId = z
  .string()
  .regex(/^r[0-9a-hjkmnp-tv-z]{26}$/, 'a result id is "r" followed by a job id')
  .brand<'ResultId'>()
export type ResultId = z.infer<typeof ResultId>

/** A group's id: `g` and 26 characters made like those of a job. */
export const GroupId = z
  .string()
  .regex(/^g[0-9a-hjkmnp-tv-z]{26}$/, 'a group id is "g" and 26 characters of lower-case Crockford base32')
  .brand<'GroupId'>()
export type GroupId = z.infer<typeof GroupId>

/** A schedule's id: `s` and 26 characters made like those of a job. */
export const ScheduleId = z
  .string()
  .regex(/^s[0-9a-hjkmnp-tv-z]{26}$/, 'a schedule id is "s" and 26 characters of lower-case Crockford base32')
  .brand<'ScheduleId'>()
export type ScheduleId = z.infer<typeof ScheduleId>

/** The name of a step within its group. */
export const StepName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'a step is named by 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"')
  .brand<'StepName'>()
export type StepName = z.infer<typeof StepName>

export const TenantId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a tenant is 1 to 63 characters of a-z, 0-9 and "-", not starting with "-"')
  .brand<'TenantId'>()
export type TenantId = z.infer<typeof TenantId>

/** A task's name, as DungBeetle takes it: any text, blanks and slashes included, without control characters. */
export const TaskName = z
  .string()
  .min(1)
  .max(200)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  .regex(/^[^\u0000-\u001f\u007f]+$/, 'a task name has no control characters')
  .brand<'TaskName'>()
export type TaskName = z.infer<typeof TaskName>

/** A report family: `namespace.table`, which is also its Iceberg name and the folder of its objects. */
export const Family = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_]{0,99}\.[a-z0-9][a-z0-9_]{0,149}$/,
    'a family is namespace.table of a-z, 0-9 and "_", neither starting with "_"',
  )
  .brand<'Family'>()
export type Family = z.infer<typeof Family>

export const QueueName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/, 'a queue is 1 to 100 characters of A-Z, a-z, 0-9 and "._:-"')
  .brand<'QueueName'>()
export type QueueName = z.infer<typeof QueueName>

export const PoolName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a pool is 1 to 63 characters of a-z, 0-9 and "-"')
  .brand<'PoolName'>()
export type PoolName = z.infer<typeof PoolName>

export const NodeId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'a node is 1 to 63 characters of A-Z, a-z, 0-9 and "._-"')
  .brand<'NodeId'>()
export type NodeId = z.infer<typeof NodeId>

/** One connection life of a node: 16 to 64 characters chosen at random by the node at its start. */
export const SessionId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{16,64}$/, 'a session is 16 to 64 characters of A-Z, a-z, 0-9, "_" and "-"')
  .brand<'SessionId'>()
export type SessionId = z.infer<typeof SessionId>

/** The client's own name for a job (DungBeetle's `job_id`, with its alphabet). */
export const Alias = z
  .string()
  .regex(/^[A-Za-z0-9:_-]{1,200}$/, 'an alias is 1 to 200 characters of A-Z, a-z, 0-9, ":", "_" and "-"')
  .brand<'Alias'>()
export type Alias = z.infer<typeof Alias>

/** SHA-256 as 64 lower-case hexadecimal digits. */
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a sha256 is 64 lower-case hexadecimal digits')

/** The hash of a normalised slice: the first 32 hexadecimal digits of its SHA-256. */
export const SliceHash = z
  .string()
  .regex(/^[0-9a-f]{32}$/, 'a slice hash is 32 lower-case hexadecimal digits')
  .brand<'SliceHash'>()
export type SliceHash = z.infer<typeof SliceHash>

/** An instant as RFC 3339 in UTC with milliseconds, as `Date.prototype.toISOString` writes it. */
export const Instant = z.iso.datetime()

/** A calendar date, `YYYY-MM-DD`. */
export const CalendarDate = z.iso.date()

export const resultOf = (job: JobId): ResultId => ResultId.parse(`r${job}`)
export const jobOf = (result: ResultId): JobId => JobId.parse(result.slice(1))
