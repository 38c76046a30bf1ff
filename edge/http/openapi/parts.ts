import type { Component } from './components.ts'

export type Schema = Record<string, unknown>

export interface Operation {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete' | 'head'
  path: string
  summary: string
  scope: string | null
  parameters?: { name: string; in: 'query' | 'header'; schema: Schema; description: string }[]
  body?: Component
  /** Status → what it carries. */
  answers: Record<
    number,
    {
      description: string
      schema?: Component
      type?: string
      /** The same as JSON, for who asks for it. */
      json?: Component
      /** The same as CSV, for who asks for it. */
      csv?: true
    }
  >
  problems: number[]
}

export type Parameter = NonNullable<Operation['parameters']>[number]

export const text = { type: 'string' }
export const integer = (minimum: number, maximum: number): Schema => ({ type: 'integer', minimum, maximum })
const inQuery = (name: string, schema: Schema, description: string): Parameter => ({ name, in: 'query', schema, description })
const inHeader = (name: string, description: string): Parameter => ({ name, in: 'header', schema: text, description })

/** A filter of a list, or whatever else a query says as a text. */
export const query = (name: string, description: string, schema: Schema = text): Parameter => inQuery(name, schema, description)
/** What every list takes: how many a page, and where it goes on. */
export const paging = (what: string, most = 500): Parameter[] => [
  inQuery('limit', integer(1, most), what),
  inQuery('cursor', text, '`next` of the page before'),
]

/** Answers of what carries a tag. */
export const notModified = { 304: { description: 'It is as the tag of If-None-Match says' } }
export const ifNoneMatch = inHeader('If-None-Match', '`ETag` of an answer before. RFC 9110, section 13.1.2.')
export const ifMatch = inHeader('If-Match', 'Answer only this version (`ETag`), else 412. RFC 9110, section 13.1.1.')
export const range = inHeader('Range', 'One byte range. RFC 9110, section 14.2.')
export const ifRange = inHeader(
  'If-Range',
  '`ETag` of the version that the range belongs to; of another one all is sent. RFC 9110, section 13.1.5.',
)
export const lastEventId = inHeader('Last-Event-ID', 'Go on after this number')
export const prefer = (what: string): Parameter =>
  inHeader('Prefer', `\`wait=N\`: answer when the ${what} has ended, after N seconds at most (30). RFC 7240.`)
export const idempotencyKey = (meaning = 'Same key and body within 24 h: same answer. Other body: 422.'): Parameter =>
  inHeader('Idempotency-Key', meaning)
