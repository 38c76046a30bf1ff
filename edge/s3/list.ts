import { BUCKET, type BucketReader, tooLong } from './bucket.ts'
import { listXml, type S3Fault } from './xml.ts'

const MAX_KEYS = 1_000
const KNOWN = new Set(['list-type', 'prefix', 'delimiter', 'start-after', 'continuation-token', 'max-keys', 'encoding-type', 'fetch-owner'])

/** ListObjectsV2 below a prefix that the session may read. */
export const listObjects = async (
  parameters: readonly (readonly [string, string])[],
  mayRead: (prefix: string) => boolean,
  bucket: BucketReader,
): Promise<Response | S3Fault> => {
  // First of two equal ones wins, and none is looked at that is not known.
  const asked = new Map([...parameters].reverse())
  const prefix = asked.get('prefix') ?? ''
  if (!mayRead(prefix)) return { code: 'AccessDenied', detail: 'A list must name a prefix inside the one of the credentials.' }
  const unknown = [...asked.keys()].find((name) => !KNOWN.has(name))
  if (unknown !== undefined) return { code: 'InvalidRequest', detail: `The parameter ${unknown} is not implemented.` }
  if (asked.get('list-type') !== '2') return { code: 'InvalidRequest', detail: 'Only lists of version 2 (list-type=2) are implemented.' }
  const maxKeys = readMaxKeys(asked.get('max-keys'))
  if (maxKeys === null) return { code: 'InvalidArgument', detail: 'max-keys must be a number from 0 on.' }
  const delimiter = asked.get('delimiter') ?? ''
  const encoding = asked.get('encoding-type')
  if (encoding !== undefined && encoding !== 'url') return { code: 'InvalidArgument', detail: 'encoding-type must be "url".' }
  if ([prefix, delimiter, asked.get('start-after') ?? ''].some(tooLong))
    return { code: 'InvalidArgument', detail: 'A key has at most 1,024 bytes.' }
  const token = asked.get('continuation-token')
  if (token === '') return { code: 'InvalidArgument', detail: 'The continuation token is not one that was given out.' }
  const startAfter = asked.get('start-after')
  const page = await readPage(bucket, { prefix, delimiter, maxKeys, token, startAfter })
  if (page === null) return { code: 'InvalidArgument', detail: 'The continuation token is not one that was given out.' }
  const body = listXml({
    bucket: BUCKET,
    prefix,
    delimiter: delimiter === '' ? null : delimiter,
    startAfter: startAfter ?? null,
    continuationToken: token ?? null,
    nextContinuationToken: page.cursor,
    maxKeys,
    encoded: encoding === 'url',
    // A cursor is the platform's and opaque: whatever it points to, nothing outside the prefix leaves.
    objects: page.objects.filter(({ key }) => key.startsWith(prefix)),
    commonPrefixes: page.delimitedPrefixes.filter((each) => each.startsWith(prefix)),
  })
  return new Response(body, {
    headers: { 'content-type': 'application/xml', 'cache-control': 'private, no-store, no-transform', 'x-content-type-options': 'nosniff' },
  })
}

interface Wanted {
  prefix: string
  delimiter: string
  maxKeys: number
  token: string | undefined
  startAfter: string | undefined
}

type Page = Pick<Awaited<ReturnType<BucketReader['list']>>, 'objects' | 'delimitedPrefixes'> & { cursor: string | null }

const readPage = async (bucket: BucketReader, wanted: Wanted): Promise<Page | null> => {
  if (wanted.maxKeys === 0) return { objects: [], delimitedPrefixes: [], cursor: null }
  try {
    const page = await bucket.list({
      prefix: wanted.prefix,
      limit: wanted.maxKeys,
      ...(wanted.delimiter === '' ? {} : { delimiter: wanted.delimiter }),
      // S3 ignores start-after beside a token.
      ...(wanted.token !== undefined ? { cursor: wanted.token } : wanted.startAfter ? { startAfter: wanted.startAfter } : {}),
    })
    return { objects: page.objects, delimitedPrefixes: page.delimitedPrefixes, cursor: page.truncated ? (page.cursor ?? null) : null }
  } catch (fault) {
    // The platform throws for a cursor that it did not make; without one the fault is its own.
    if (wanted.token === undefined) throw fault
    return null
  }
}

const readMaxKeys = (text: string | undefined): number | null => {
  if (text === undefined) return MAX_KEYS
  return /^[0-9]{1,9}$/.test(text) ? Math.min(Number(text), MAX_KEYS) : null
}
