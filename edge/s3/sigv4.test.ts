import { describe, expect, it } from 'vitest'
import {
  canonicalPath,
  canonicalQuery,
  EMPTY_SHA256,
  queryPairs,
  readAuthorization,
  readTime,
  sign,
  signingKey,
  stringToSign,
} from './sigv4.ts'

/** The worked examples of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header". */
const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const SCOPE = { date: '20130524', region: 'us-east-1', service: 's3' }
const HOST = ['host', 'examplebucket.s3.amazonaws.com'] as const
const TIME = ['x-amz-date', '20130524T000000Z'] as const
const EMPTY = ['x-amz-content-sha256', EMPTY_SHA256] as const

const signature = async (method: string, path: string, query: string, headers: (readonly [string, string])[], payload = EMPTY_SHA256) =>
  await sign(
    await signingKey(SECRET, SCOPE),
    await stringToSign(
      { method, path: canonicalPath(path) ?? '', query: canonicalQuery(queryPairs(query) ?? []), headers, payload, time: TIME[1] },
      SCOPE,
    ),
  )

describe("AWS's published examples", () => {
  it('GET object with a range', async () => {
    expect(await signature('GET', '/test.txt', '', [HOST, ['range', 'bytes=0-9'], EMPTY, TIME])).toBe(
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    )
  })

  it('PUT object with an odd key and more headers', async () => {
    const payload = '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072'
    const headers = [
      ['date', 'Fri, 24 May 2013 00:00:00 GMT'],
      HOST,
      ['x-amz-content-sha256', payload],
      TIME,
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
    ] as const
    expect(await signature('PUT', '/test$file.text', '', [...headers], payload)).toBe(
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    )
  })

  it('GET with a parameter without value', async () => {
    expect(await signature('GET', '/', 'lifecycle', [HOST, EMPTY, TIME])).toBe(
      'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    )
  })

  it('list of objects', async () => {
    expect(await signature('GET', '/', 'max-keys=2&prefix=J', [HOST, EMPTY, TIME])).toBe(
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    )
  })
})

describe('canonical forms', () => {
  it('of a path are the same however a client escapes', () => {
    for (const path of ["/a b'()!~*", '/a%20b%27%28%29%21~%2A', "/a%20b'()!~*"]) expect(canonicalPath(path)).toBe('/a%20b%27%28%29%21~%2A')
    expect(canonicalPath('/a//b/')).toBe('/a//b/')
    expect(canonicalPath('/a%2Fb+c')).toBe('/a%2Fb%2Bc')
    expect(canonicalPath('/日本')).toBe('/%E6%97%A5%E6%9C%AC')
    expect(canonicalPath('/%zz')).toBe(null)
    expect(canonicalPath('/%ff')).toBe(null)
  })

  it('of a query are sorted by encoded bytes, with the plus sign as itself', () => {
    const form = (query: string) => canonicalQuery(queryPairs(query) ?? [])
    expect(form('b=2&a=1&a=0&c')).toBe('a=0&a=1&b=2&c=')
    expect(form('prefix=a+b&x=%2B&y=a%20b')).toBe('prefix=a%2Bb&x=%2B&y=a%20b')
    expect(form('a=b=c&&')).toBe('a=b%3Dc')
    expect(queryPairs('a=%')).toBe(null)
  })

  it('of an authorization header are one only', () => {
    const text = `AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=${'0'.repeat(64)}`
    expect(readAuthorization(text)).toMatchObject({
      accessKeyId: 'AK',
      date: '20130524',
      region: 'us-east-1',
      signedHeaders: ['host', 'x-amz-date'],
    })
    for (const bad of [
      text.replace('host;x-amz-date', 'x-amz-date;host'),
      text.replace('host;x-amz-date', 'host;host'),
      text.replace('host;x-amz-date', 'Host'),
      text.replace('aws4_request', 'aws3_request'),
      text.slice(0, -1),
      text.toUpperCase(),
      text.replace('AWS4', 'AWS5'),
      'Bearer abc',
      '',
    ])
      expect(readAuthorization(bad), bad).toBe(null)
  })

  it('of a time are UTC and real', () => {
    expect(readTime('20130524T000000Z')).toBe(Date.UTC(2013, 4, 24))
    for (const bad of ['20131324T000000Z', '20130524T000000', 'x', '2013-05-24T00:00:00Z']) expect(readTime(bad), bad).toBe(null)
  })
})
