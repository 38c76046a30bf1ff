import type { z } from 'zod'
import { AnnouncedTask } from './tasks.ts'

/** For tests: the plainest task that a node can announce, without parameters, sources or wishes; `change` says what is special. */
export const plainTask = (name: string, change: Partial<z.input<typeof AnnouncedTask>> = {}): AnnouncedTask =>
  AnnouncedTask.parse({
    name,
    hash: '0'.repeat(64),
    description: '',
    sql: 'SELECT 1 AS n',
    db: [],
    queue: null,
    concurrency: null,
    params: [],
    arity: 0,
    family: `reports.${name}`,
    partition_by: null,
    engine_hint: null,
    max_runtime_seconds: null,
    retention_seconds: null,
    cost_budget_bytes: null,
    emit_format: [],
    columns: null,
    error: null,
    warnings: [],
    ...change,
  })
