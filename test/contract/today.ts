import { z } from 'zod'
import { Column, ColumnType, ResultSchema, WireValue } from '../../edge/contract/columns.ts'
import { JobEvent, ProgressEvent } from '../../edge/contract/events.ts'
import { Family, JobId, resultOf, SliceHash, TenantId } from '../../edge/contract/ids.ts'
import { Job, SubmitBody } from '../../edge/contract/jobs.ts'
import * as keys from '../../edge/contract/keys.ts'
import { InlineResult, Manifest, NodeFile, NodeManifest, ResultDocument } from '../../edge/contract/manifests.ts'
import { FromNode, Lease, NODE_PROTOCOL_VERSION, NODE_SUBPROTOCOL, Offer, ToNode } from '../../edge/contract/node.ts'
import { PROBLEMS, ProblemDocument } from '../../edge/contract/problems.ts'
import { NormalSlice, SliceAnswer, SliceFile, SliceRequest } from '../../edge/contract/slices.ts'
import { AnnouncedTask, Argument, TaskInfo } from '../../edge/contract/tasks.ts'
import { jobIds, ledgerTag } from '../../edge/ledger/ids.ts'

/** What the code says today about everything that is frozen. The golden files hold what it said at version 1. */

const acme = TenantId.parse('acme')
const demo = TenantId.parse('demo')
const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

/** Ids of ledgers whose clock stands still, runs on, and runs backwards; random bytes are counted up. */
const sequence = (tenant: TenantId, last: JobId | null, times: number[]): string[] => {
  const clock = [...times]
  let byte = 0
  const random = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => byte++)
  const next = jobIds(tenant, last, () => clock.shift() ?? 0, random)
  return times.map(() => next())
}

export const ids = (): unknown => {
  const first = sequence(acme, null, [AT, AT, AT + 1, AT - 5_000, AT + 60_000])
  return {
    tags: Object.fromEntries(
      ['acme', 'demo', 'a', '0', 'a-long-tenant-name-of-many-characters'].map((name) => [name, ledgerTag(TenantId.parse(name))]),
    ),
    first,
    goesOnAfter: sequence(acme, JobId.parse(first.at(-1)), [AT, AT + 60_000, AT + 60_001]),
    other: sequence(demo, null, [0, 1, 2 ** 48]),
    result: resultOf(JobId.parse(first[0])),
    accepted: first.map((id) => JobId.safeParse(id).success),
    refused: [
      '',
      first[0]?.slice(1),
      `${first[0]}0`,
      first[0]?.toUpperCase(),
      first[0]?.replace(/.$/, 'u'),
      first[0]?.replace(/.$/, 'l'),
      `r${first[0]}`,
    ].filter((text) => JobId.safeParse(text).success),
  }
}

export const objectKeys = (): unknown => {
  const job = JobId.parse('01kdyq5zwe0000000000000000')
  const result = resultOf(job)
  const family = Family.parse('payments.daily_pnl')
  const hash = SliceHash.parse('0123456789abcdef0123456789abcdef')
  return {
    tenantPrefix: keys.tenantPrefix(acme),
    familyPrefix: keys.familyPrefix(acme, family),
    dataKey: keys.dataKey(acme, family, job, 3, 12),
    metadataKey: keys.metadataKey(acme, family, '00004-x.metadata.json'),
    packKey: keys.packKey(acme, result),
    sliceKey: keys.sliceKey(acme, result, hash, 'json'),
    derivedKey: keys.derivedKey(acme, result, 'csv'),
    slicesPrefix: keys.slicesPrefix(acme, result),
    resultKey: keys.resultKey(acme, result),
  }
}

export const protocol = (): unknown => ({ version: NODE_PROTOCOL_VERSION, subprotocol: NODE_SUBPROTOCOL })

/** Status of every problem code: a code, once given, keeps its meaning for ever. */
export const problems = (): Record<string, number> =>
  Object.fromEntries(Object.entries(PROBLEMS).map(([code, { status }]) => [code, status]))

/** What travels. Parts have names of their own, so that each stands in the golden file once. */
const SCHEMAS = {
  Column,
  ColumnType,
  ResultSchema,
  WireValue,
  Argument,
  AnnouncedTask,
  NodeFile,
  NodeManifest,
  InlineResult,
  Lease,
  Offer,
  NormalSlice,
  SliceFile,
  JobEvent,
  ProgressEvent,
  Job,
  SubmitBody,
  Manifest,
  ResultDocument,
  FromNode,
  ToNode,
  TaskInfo,
  SliceRequest,
  SliceAnswer,
  ProblemDocument,
} as const satisfies Record<string, z.ZodType>

/** JSON Schemas (2020-12) by name; they refer to each other as `#/Name`. */
export const schemas = (): Record<string, unknown> => {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id })
  const made = z.toJSONSchema(registry, { target: 'draft-2020-12', unrepresentable: 'any', io: 'input', uri: (id) => `#/${id}` })
  return Object.fromEntries(Object.entries(made.schemas).map(([id, { $schema: _dialect, $id: _address, ...schema }]) => [id, schema]))
}
