import { expect, test } from 'vitest'
import { completeUpload, type PartsBucket, partsOf, uploadsOf } from './multipart.ts'

test('parts are equal but the last, and hold everything', () => {
  expect(partsOf(25, 10)).toEqual([
    { part: 1, bytes: 10 },
    { part: 2, bytes: 10 },
    { part: 3, bytes: 5 },
  ])
  expect(partsOf(20, 10).map(({ bytes }) => bytes)).toEqual([10, 10])
  expect(partsOf(1, 10)).toEqual([{ part: 1, bytes: 1 }])
})

/** One key; an upload completes once, and replaces what is there, like R2's. */
const bucket = (): PartsBucket & { object: string | null; open: Set<string>; named: unknown } => ({
  object: null,
  open: new Set(['a', 'b']),
  named: null,
  async head() {
    return this.object === null ? null : { size: this.object.length }
  },
  resumeMultipartUpload(_key, upload) {
    return {
      complete: async (parts) => {
        if (!this.open.delete(upload)) throw new Error('no such upload')
        this.object = upload
        this.named = parts
      },
    }
  },
})

test('parts are put together in their order, by etags without quotes', async () => {
  const one = bucket()
  const parts = [
    { part: 2, etag: '"y"' },
    { part: 1, etag: 'x' },
  ]
  expect(await completeUpload(one, 'k', 'a', parts)).toBeNull()
  expect(one.named).toEqual([
    { partNumber: 1, etag: 'x' },
    { partNumber: 2, etag: 'y' },
  ])
})

test('a second upload to the key replaces nothing, and a repeated word is no error', async () => {
  const one = bucket()
  await completeUpload(one, 'k', 'a', [])
  expect(await completeUpload(one, 'k', 'b', [])).toBeNull()
  expect(await completeUpload(one, 'k', 'a', [])).toBeNull()
  expect(one.object).toBe('a')
})

test('of two uploads that end at the same time the first stays', async () => {
  const one = bucket()
  const complete = uploadsOf(one)
  expect(await Promise.all([complete('k', 'a', []), complete('k', 'b', [])])).toEqual([null, null])
  expect(one.object).toBe('a')
  // What failed does not stand in the way of the next.
  const broken = bucket()
  const again = uploadsOf(broken)
  broken.head = () => Promise.reject(new Error('not now'))
  await expect(again('k', 'a', [])).rejects.toThrow('not now')
  broken.head = bucket().head
  expect(await again('k', 'a', [])).toBeNull()
})

test('what cannot be completed is told, unless somebody else completed it meanwhile', async () => {
  const one = bucket()
  expect(await completeUpload(one, 'k', 'c', [])).toMatch(/k could not be completed: no such upload/)
  const raced = bucket()
  const asked: PartsBucket = {
    head: async () => (raced.open.has('a') ? null : { size: 1 }),
    resumeMultipartUpload: () => ({
      complete: async () => {
        raced.open.delete('a')
        throw new Error('no such upload')
      },
    }),
  }
  expect(await completeUpload(asked, 'k', 'a', [])).toBeNull()
})
