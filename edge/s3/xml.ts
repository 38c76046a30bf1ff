import type { StoredObject } from './bucket.ts'
import { encodeStrictly } from './sigv4.ts'

/** Error codes that are answered, with S3's status; only an expired token has ours: DuckDB renews on 403 and hangs on AWS's 400. */
export const S3_ERRORS = {
  AccessDenied: { status: 403, message: 'Access Denied' },
  ExpiredToken: { status: 403, message: 'The provided token has expired: load the table again for new credentials.' },
  InvalidToken: { status: 403, message: 'The provided token is malformed or otherwise not valid.' },
  InvalidAccessKeyId: { status: 403, message: 'The access key id does not belong to the session token.' },
  SignatureDoesNotMatch: { status: 403, message: 'The request signature does not match the one calculated here.' },
  RequestTimeTooSkewed: { status: 403, message: 'The difference between the request time and the current time is too large.' },
  AuthorizationHeaderMalformed: { status: 400, message: 'The authorization header is malformed.' },
  XAmzContentSHA256Mismatch: { status: 400, message: 'A request without a body must carry its hash or UNSIGNED-PAYLOAD.' },
  InvalidURI: { status: 400, message: 'The address could not be parsed.' },
  InvalidArgument: { status: 400, message: 'A parameter has a wrong value.' },
  NoSuchBucket: { status: 404, message: 'The specified bucket does not exist.' },
  NoSuchKey: { status: 404, message: 'The specified key does not exist.' },
  PreconditionFailed: { status: 412, message: 'At least one of the preconditions did not hold.' },
  InvalidRange: { status: 416, message: 'The requested range is not satisfiable.' },
  InvalidRequest: { status: 400, message: 'Only objects and lists of version 2 can be read.' },
  ServiceUnavailable: { status: 503, message: 'Object storage did not answer: try again.' },
} as const satisfies Record<string, { status: number; message: string }>

export type S3Code = keyof typeof S3_ERRORS

/** A refusal on its way to become XML. */
export interface S3Fault {
  code: S3Code
  detail: string | null
  headers?: Record<string, string>
}

/** Text for XML 1.0; what it cannot hold becomes U+FFFD. */
export const escapeXml = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\r', '&#13;')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly the characters that XML 1.0 cannot hold
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
const element = (name: string, value: string | number | boolean): string => `<${name}>${escapeXml(String(value))}</${name}>`

export const errorXml = (code: S3Code, detail: string | null, requestId: string): string =>
  `${HEAD}<Error>${element('Code', code)}${element('Message', detail ?? S3_ERRORS[code].message)}${element('RequestId', requestId)}</Error>`

export interface ListPage {
  prefix: string
  delimiter: string | null
  startAfter: string | null
  continuationToken: string | null
  nextContinuationToken: string | null
  maxKeys: number
  /** `encoding-type=url`: keys percent-encoded, slashes kept. */
  encoded: boolean
  objects: readonly StoredObject[]
  commonPrefixes: readonly string[]
  bucket: string
}

/** `ListBucketResult` of ListObjectsV2. */
export const listXml = (page: ListPage): string => {
  const name = (key: string): string => (page.encoded ? key.split('/').map(encodeStrictly).join('/') : key)
  return [
    `${HEAD}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`,
    element('Name', page.bucket),
    element('Prefix', name(page.prefix)),
    page.delimiter === null ? '' : element('Delimiter', name(page.delimiter)),
    page.startAfter === null ? '' : element('StartAfter', name(page.startAfter)),
    page.continuationToken === null ? '' : element('ContinuationToken', page.continuationToken),
    page.nextContinuationToken === null ? '' : element('NextContinuationToken', page.nextContinuationToken),
    element('KeyCount', page.objects.length + page.commonPrefixes.length),
    element('MaxKeys', page.maxKeys),
    page.encoded ? element('EncodingType', 'url') : '',
    element('IsTruncated', page.nextContinuationToken !== null),
    ...page.objects.map(
      (object) =>
        `<Contents>${element('Key', name(object.key))}${element('LastModified', object.uploaded.toISOString())}${element('ETag', object.httpEtag)}${element('Size', object.size)}${element('StorageClass', 'STANDARD')}</Contents>`,
    ),
    ...page.commonPrefixes.map((prefix) => `<CommonPrefixes>${element('Prefix', name(prefix))}</CommonPrefixes>`),
    '</ListBucketResult>',
  ].join('')
}
