import { expect, test } from 'vitest'
import { z } from 'zod'
import { GroupBody } from '../contract/groups.ts'
import { SubmitBody } from '../contract/jobs.ts'
import { SliceRequest } from '../contract/slices.ts'
import { schemaProblem } from './problem.ts'

const told = (schema: z.ZodType, value: unknown): string[] => {
  const parsed = schema.safeParse(value)
  return parsed.success
    ? []
    : (schemaProblem('invalid_body', 'The body', parsed.error).extras.errors ?? []).map(({ path, message }) => `${path}: ${message}`)
}

test('where one of several forms was to fit, the faults of the nearest one are told, each at its place', () => {
  expect(told(GroupBody, { steps: { a: { task: 'x', when: 'maybe' } } })).toEqual([
    '/steps/a/when: Invalid option: expected one of "succeeded"|"failed"|"always"',
  ])
  expect(told(GroupBody, { steps: { ok: { approval: { by: 'ann' } } } })).toEqual([
    '/steps/ok/approval/by: Invalid input: expected array, received string',
  ])
  expect(told(GroupBody, { steps: { 'a b': { task: 'x' } } })).toEqual([
    '/steps/a b: a step is named by 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"',
  ])
})

test('of two forms that were missed alike, the one that was gone into is the nearer', () => {
  expect(told(SliceRequest, { select: [{ fn: 'nope' }] })).toEqual([
    '/select/0/fn: Invalid option: expected one of "count"|"sum"|"min"|"max"|"avg"|"count_distinct"',
  ])
  expect(told(SubmitBody, { args: { a: ['x'] } })).toEqual(['/args/a: Invalid input: expected string, received array'])
  expect(told(SliceRequest, { limit: '5', offset: '6' })).toEqual([
    '/limit: Invalid input: expected number, received string',
    '/offset: Invalid input: expected number, received string',
  ])
  expect(told(SliceRequest, { limt: 1 })).toEqual(['/: Unrecognized key: "limt"'])
})

test('ten faults are told at most', () => {
  expect(
    told(z.record(z.string(), z.union([z.number(), z.boolean()])), Object.fromEntries([...Array(50).keys()].map((n) => [`k${n}`, 'x']))),
  ).toHaveLength(10)
})
