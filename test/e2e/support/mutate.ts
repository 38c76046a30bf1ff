/** A request as it goes over the wire. */
export interface Wire {
  method: string
  /** With the query string. */
  path: string
  headers: Record<string, string>
  body: Buffer | null
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

export class Chance {
  readonly #random: () => number
  constructor(seed: number) {
    this.#random = randomFrom(seed)
  }
  /** 0 to `below` - 1. */
  upTo(below: number): number {
    return Math.floor(this.#random() * below)
  }
  of<T>(items: readonly T[]): T {
    const item = items[this.upTo(items.length)]
    if (item === undefined) throw new Error('nothing to choose from')
    return item
  }
}

const deep = (open: string, close: string, times: number): string => `${open.repeat(times)}${close.repeat(times)}`

/** Values that parsers and databases stumble over. */
const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  1e308,
  5e-324,
  2 ** 53,
  -(2 ** 63),
  2147483648,
  '',
  ' ',
  '0',
  'null',
  'NaN',
  'Infinity',
  '-Infinity',
  '9223372036854775808',
  '1e400',
  '\u0000',
  '\ud800',
  '\udc00x',
  '\uffff',
  '🦆',
  'ä',
  "'",
  '"',
  '\\',
  ';',
  '--',
  '%',
  '%00',
  '../..',
  '$1',
  '{{x}}',
  'result',
  '__proto__',
  'constructor',
  'toString',
  'x'.repeat(300),
  'x'.repeat(70_000),
  '2024-02-30',
  '0000-00-00',
  '99999-01-01',
  '24:00:00',
  '[',
  '{}',
  [],
  {},
  [[]],
  [null],
  { __proto__x: 1 },
  { length: -1 },
  Array.from({ length: 200 }, (_, n) => n),
  JSON.parse(deep('[', ']', 200)),
  JSON.parse('{"__proto__": {"polluted": 1}}'),
  JSON.parse('{"constructor": {"prototype": 1}}'),
  { fn: 'count' },
  { col: 'n', op: '=', value: null },
]

const TEXTS: readonly string[] = [
  '',
  '0',
  '-1',
  '1',
  '999999999999999999999',
  '1e3',
  '0x10',
  'NaN',
  'null',
  'undefined',
  'true',
  '%',
  '%00',
  '%0d%0a',
  '%c3%28',
  '%ff',
  '%ud800',
  '..',
  '../../',
  '..%2f..%2f',
  '*',
  '"',
  "'",
  '<script>',
  '{}',
  '[]',
  ',',
  ';',
  ';;,=',
  '=',
  '==',
  '&',
  '?',
  '#',
  '+',
  'a b',
  'ä',
  '\u00ff',
  '-',
  '_',
  ':',
  'x'.repeat(5_000),
  'bytes=0-',
  'bytes=-0',
  'bytes=-',
  'bytes=1-0',
  'bytes=0-0,2-3',
  'bytes=99999999999999999999-',
  'bytes=-99999999999999999999',
  'bytes = 0-1',
  'wait=',
  'wait=-1',
  'wait=1e3',
  'wait=0',
  'wait="0"',
  'wait=0;x, respond-async',
  'W/"x"',
  '"x',
  'application/json',
  'application/xml',
  'text/plain;charset=utf-16',
  'multipart/form-data',
  'gzip',
  'identity',
  'Bearer',
  'Bearer ',
  'Bearer a.b.c',
  'Basic eDp5',
  'AWS4-HMAC-SHA256 Credential=a/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00',
  'websocket',
  'scarab.node.v1',
  'csv',
  'json',
  'published',
  'MTo=',
  'MTowMTIzNDU2Nzg5YWJjZGVmZ2hqa21ucHFyc3Q',
]

const HEADERS = [
  'range',
  'if-range',
  'if-none-match',
  'if-match',
  'if-modified-since',
  'prefer',
  'idempotency-key',
  'last-event-id',
  'accept',
  'accept-encoding',
  'content-type',
  'content-encoding',
  'authorization',
  'origin',
  'upgrade',
  'connection-x',
  'sec-websocket-protocol',
  'x-scarab-grant',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-content-sha256',
  'x-forwarded-host',
  'x-http-method-override',
  'cookie',
  'expect-x',
  'te',
  'cf-connecting-ip',
] as const

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** Deeper places of a value are left as they are. */
const MAX_DEPTH = 50

/** The places of a JSON value: the holder and the name within it. */
const places = (value: unknown, depth = 0): { holder: Record<string, unknown>; name: string }[] =>
  isObject(value) && depth < MAX_DEPTH
    ? Object.keys(value).flatMap((name) => [{ holder: value, name }, ...places(value[name], depth + 1)])
    : []

const mutateJson = (body: Buffer, chance: Chance): Buffer => {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8') || '{}')
  } catch {
    value = {}
  }
  const all = places(value)
  const place = all.length > 0 ? chance.of(all) : null
  switch (chance.upTo(6)) {
    case 0:
      value = chance.of(VALUES)
      break
    case 1:
      if (place) delete place.holder[place.name]
      break
    case 2:
      if (isObject(value))
        value[
          chance.of(['args', 'alias', 'queue', 'db', 'where', 'select', 'group', 'order', 'limit', 'offset', 'sql', '__proto__', 'x', ''])
        ] = chance.of(VALUES)
      break
    case 3:
      if (place) place.holder[place.name] = [place.holder[place.name], chance.of(VALUES)]
      break
    default:
      if (place) place.holder[place.name] = chance.of(VALUES)
  }
  try {
    return Buffer.from(JSON.stringify(value) ?? '')
  } catch {
    // Too deep to be written again.
    return body
  }
}

const mutateBytes = (body: Buffer, chance: Chance): Buffer => {
  const bytes = Buffer.from(body)
  switch (chance.upTo(9)) {
    case 0:
      return bytes.subarray(0, chance.upTo(bytes.length + 1))
    case 1:
      return Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes])
    case 2:
      return Buffer.concat([bytes, Buffer.from([0xff, 0xfe, 0x00])])
    case 3:
      return Buffer.from(deep('[', ']', 10 + chance.upTo(20_000)))
    case 4:
      return Buffer.from(deep('{"a":', '}', 10 + chance.upTo(5_000)))
    case 5:
      return Buffer.alloc(1024 * 1024 - 100 + chance.upTo(200), 0x20)
    case 6:
      return Buffer.alloc(0)
    default:
      for (let n = 1 + chance.upTo(4); n > 0 && bytes.length > 0; n -= 1) bytes[chance.upTo(bytes.length)] = chance.upTo(256)
      return bytes
  }
}

const mutateText = (text: string, chance: Chance): string => {
  const at = chance.upTo(text.length + 1)
  switch (chance.upTo(4)) {
    case 0:
      return chance.of(TEXTS)
    case 1:
      return text.slice(0, at) + chance.of(TEXTS) + text.slice(at)
    case 2:
      return text.slice(0, at) + text.slice(at + 1 + chance.upTo(3))
    default:
      return text.slice(0, at) + String.fromCharCode(33 + chance.upTo(94)) + text.slice(at + 1)
  }
}

/** What a request line can carry; everything else is percent-encoded. */
const onTheLine = (path: string): string => {
  const clean = [...path].map((char) => (/[!-~]/.test(char) ? char : encodeURIComponent(char.isWellFormed() ? char : '?'))).join('')
  return clean.startsWith('/') ? clean : `/${clean}`
}

const PARAMETERS = [
  'limit',
  'cursor',
  'alias',
  'task',
  'state',
  'after',
  'until',
  'file',
  'format',
  'pool',
  'parent',
  'prefix',
  'list-type',
  'x',
] as const

const mutatePath = (path: string, chance: Chance): string => {
  const [place = '', query = ''] = path.split('?')
  const parts = place.split('/')
  switch (chance.upTo(5)) {
    case 0: {
      const at = 1 + chance.upTo(parts.length - 1)
      parts[at] = mutateText(parts[at] ?? '', chance)
      return onTheLine(`${parts.join('/')}${query ? `?${query}` : ''}`)
    }
    case 1:
      parts.splice(1 + chance.upTo(parts.length), chance.upTo(2), chance.of(TEXTS))
      return onTheLine(`${parts.join('/')}${query ? `?${query}` : ''}`)
    case 2:
      return onTheLine(`${place}?${mutateText(query, chance)}`)
    default:
      return onTheLine(`${place}?${query ? `${query}&` : ''}${chance.of(PARAMETERS)}=${chance.of(TEXTS)}`)
  }
}

/** A header's value as Node's client takes it. */
const headerText = (text: string): string =>
  [...text]
    .filter((char) => /[\t -~\u0080-\u00ff]/.test(char))
    .join('')
    .trim()

type Kind = 'method' | 'path' | 'own header' | 'header' | 'bytes' | 'json'
const WITHOUT_BODY: readonly Kind[] = ['method', 'path', 'path', 'path', 'own header', 'own header', 'header', 'header']
const WITH_BODY: readonly Kind[] = ['method', 'path', 'own header', 'header', 'bytes', 'json', 'json', 'json', 'json', 'json']

const changed = (wire: Wire, kind: Kind, chance: Chance): Wire => {
  const { headers } = wire
  const body = wire.body ?? Buffer.alloc(0)
  switch (kind) {
    case 'method':
      return { ...wire, method: chance.of(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) }
    case 'path':
      return { ...wire, path: mutatePath(wire.path, chance) }
    case 'own header': {
      // Seldom the token: what follows it is what should be reached.
      const names = Object.keys(headers).filter((name) => name !== 'authorization' || chance.upTo(8) === 0)
      if (names.length === 0) return wire
      const name = chance.of(names)
      return { ...wire, headers: { ...headers, [name]: headerText(mutateText(headers[name] ?? '', chance)) } }
    }
    case 'header':
      return { ...wire, headers: { ...headers, [chance.of(HEADERS)]: headerText(chance.of(TEXTS)) } }
    case 'bytes':
      return { ...wire, body: mutateBytes(body, chance) }
    case 'json':
      return { ...wire, body: mutateJson(body, chance) }
  }
}

/** One change of a valid request's JSON and nothing else: what passes the outer checks meets the inner ones. */
export const mutateBody = (wire: Wire, chance: Chance): Wire => changed(wire, 'json', chance)

/** One to three changes of a valid request, in its body, path, parameters, headers or method. */
export const mutate = (wire: Wire, chance: Chance): Wire => {
  let next = wire
  for (let n = 1 + chance.upTo(3); n > 0; n -= 1) next = changed(next, chance.of(next.body === null ? WITHOUT_BODY : WITH_BODY), chance)
  return next
}
