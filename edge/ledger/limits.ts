/** A job whose node, connection or engine is lost or overloaded is tried again this often, unless its task or submit says otherwise. */
export const DEFAULT_RETRIES = 10
/** Back-off after a loss: doubles from the first to the last value. */
export const BACKOFF_FIRST_MS = 1_000
export const BACKOFF_LAST_MS = 30_000
/** A session that was not renewed for this long is lost: two and a half renewals of a minute each. */
export const SESSION_SECONDS = 150
/** A timer that fires later than this was not late: the ledger was away, and heard of nobody. */
export const AWAY_SECONDS = 30
/** How long the node may take to say what became of a cancel before the job says that nobody confirmed it. */
export const CANCEL_ANSWER_SECONDS = 15
/** Queues that a tenant may use, each in each pool: all of them are looked at whenever slots are given to anybody. */
export const MAX_LANES = 1_000
/** Queues with settings of their own: as many as a tenant may use. */
export const MAX_QUEUE_SETTINGS = 1_000
/** Idempotency keys are kept for a day. Draft ietf-httpapi-idempotency-key-header leaves the time to the server. */
export const KEY_SECONDS = 24 * 3600
/** Old ones that one firing of their timer forgets: after a day's rest there may be millions. */
export const KEYS_PER_FIRING = 5_000
/** Jobs of one tenant that have not ended; beyond it a submit is refused with 429. */
export const MAX_LIVE_JOBS = 200_000
/** What may stay in the database of a finished job, manifest and rows together; above it they move to object storage. */
export const MAX_KEPT_BYTES = 4 * 1024
/** Groups of one tenant that have not ended; beyond it a submit is refused with 429. */
export const MAX_LIVE_GROUPS = 10_000
/** What undoes steps of a group, and its alert, have so long together, unless the group says otherwise. */
export const UNDO_SECONDS = 3_600
/** Groups that have ended stay for so long, and no more than this of them, with so many bytes of steps and events. */
export const GROUP_DAYS = 90
export const MAX_KEPT_GROUPS = 20_000
export const MAX_GROUP_BYTES = 1024 * 1024 * 1024
/** Groups of a page of a list, and steps of all of them together (beyond the first): about 300 bytes each. */
export const MAX_GROUP_PAGE = 100
export const MAX_GROUP_PAGE_STEPS = 2_000
/** How often an unacknowledged message to a pool or table is repeated, first and at most. */
export const REPEAT_FIRST_MS = 1_000
export const REPEAT_LAST_MS = 30_000
/** Rows handled by one firing of the alarm. */
export const TIMERS_PER_ALARM = 500
/** … and schedules among them: after a long rest each may make up for `MAX_MISSED_RUNS` in the one transaction. */
export const SCHEDULES_PER_ALARM = 50
/** Results handed to a table in one call: bounded, because small ones carry their bytes. */
export const OUTBOX_BATCH = 200
/** … and so many bytes of manifests and files, but for a single one that has more. */
export const OUTBOX_BATCH_BYTES = 8 * 1024 * 1024
/** A result that its table has accepted and not been heard of for this long is handed over again; its row stays until then. */
export const OUTBOX_STALE_SECONDS = 120
/** Normal forms of slices kept per result; the oldest go first. */
export const MAX_SLICES_PER_RESULT = 1_000
/** A page of a list, at most. */
export const MAX_PAGE = 500
/** Jobs of one list or offer have at most this many characters of arguments together: an RPC message ends at 32 MiB (platform limit). */
export const MAX_ARGS_BYTES = 4 * 1024 * 1024
/** Arguments of one job as JSON, UTF-8: a body has no more, but a batch and the values of parents could; a row ends at 2 MB (platform limit). */
export const MAX_JOB_ARGS_BYTES = 1024 * 1024
/** Jobs offered to one node at once, whatever it wants. */
export const MAX_OFFERS = 500
/** An upload of a pack may be asked for this long after completion. */
export const PACK_SECONDS = 15 * 60
/** How far ahead an `eta` may lie: ten years. With a `ttl` of a century it stays below the alarms' own end (2262). */
export const MAX_ETA_DAYS = 3_653
/** Schedules of one tenant. */
export const MAX_SCHEDULES = 1_000
/** What a schedule may say, as JSON with its arguments. */
export const MAX_SCHEDULE_BYTES = 64 * 1024
/** A run that is later than this was missed: the sweep pokes every ledger within two minutes of a fail-over. */
export const MISSED_SECONDS = 120
/** Missed runs that are made up for at once, at most. */
export const MAX_MISSED_RUNS = 100
/** Runs of one schedule that wait for the one before, at most. */
export const MAX_QUEUED_RUNS = 100
/** Events of the tenant's stream that are looked at for one page of it, whatever of them the filter takes. */
export const STREAM_SCAN_ROWS = 1_000
/** Sockets of readers at one ledger. The platform allows 32,768 hibernating ones an object. */
export const MAX_WATCHERS = 10_000
/** Requests that wait at one ledger for a job's end or for events. */
export const MAX_WAITERS = 5_000
/** Finished jobs that a ledger keeps in its database; beyond it the oldest move to object storage… */
export const MAX_FINISHED_JOBS = 100_000
/** …until so many are left, so that they move in runs and not one by one. */
export const KEPT_FINISHED_JOBS = 90_000
/** A job stays for so long after its end: its pack may come until then, and readers of the tenant's stream may be away. */
export const MOVE_AFTER_SECONDS = PACK_SECONDS + 5 * 60
/** … but where there are too many of them only for so long, unless its pack may still come; looked at as often. */
export const PRESSED_STAY_SECONDS = 60
/** Failed jobs that nobody ran again stay for so long, for `GET /v1/dead`… */
export const DEAD_LETTER_DAYS = 30
/** …but no more of them than this. */
export const MAX_DEAD_LETTERS = 20_000
/** Jobs of one page in object storage, and its bytes (of JSON, uncompressed) where it has more than one job. */
export const PAGE_JOBS = 250
export const PAGE_BYTES = 2 * 1024 * 1024
/** Rows that one firing of the housekeeping looks at. */
export const HOUSEKEEPING_ROWS = 5_000
/** The housekeeping begins so long after a job has ended (at once, when there are too many), and pauses so long between two firings while there is more to do. */
export const HOUSEKEEPING_SECONDS = 10 * 60
export const HOUSEKEEPING_PAUSE_MS = 250
/** … and so long where even more have come than are to move in one run. */
export const HOUSEKEEPING_HURRY_MS = 50
/** Events of ended jobs are kept in the database for so long, but for each job's last one. */
export const EVENT_DAYS = 7
/** Rows that one page of a list looks at, whatever of them the filter takes; pages in object storage of which it asks their filter; and those that it opens. */
export const LIST_SCAN_ROWS = 5_000
export const LIST_PAGES_LOOKED_AT = 200
export const LIST_PAGES_OPENED = 3
/** Pages of finished jobs that are kept in memory, unpacked. */
export const PAGES_IN_MEMORY = 4
/** Jobs that join one execution, at most: the next identical one leads another. */
export const MAX_FOLLOWERS = 10_000
/** Jobs that take one finished result by `reuse`, at most: the next one runs. */
export const MAX_REUSERS = 10_000
/** Jobs that share an execution, or a result, and hear of it in one transaction (about 50 µs each); the rest follows in the next. */
export const CROWD_PER_TURN = 500
/** Places, each in a lane of its own or of a higher priority, in which one execution waits at the same time. */
export const MAX_PLACES = 100
/** Results of jobs that have moved to object storage and that `reuse` still finds: the newest, of about 150 bytes each. */
export const MAX_REUSABLE = 500_000
/** Of jobs that have moved so many come back at once, to be told that their result has expired: a page. */
export const RECALLED_AT_ONCE = PAGE_JOBS
/** A job that has waited so long is asked about: its task's nodes may have gone to another pool. */
export const STRANDED_AFTER_SECONDS = 60
/** Waiting jobs that are looked at for this in one poke, and tasks asked about: what is left comes with the next. */
export const STRANDED_JOBS = 5_000
export const STRANDED_TASKS = 200
