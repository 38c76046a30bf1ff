import type { Failure } from '../../edge/contract/node.ts'
import { EngineFault } from '../engines/engine.ts'

/** Marks messages that our own SQL raises by `error()`, so that DuckDB's wording around them can be cut. */
export const OWN_ERROR = 'scarab: '

/** A failure's message crosses the socket and ends in a row of the ledger. */
const MAX_MESSAGE_CHARACTERS = 4_000

const CODES: [prefix: RegExp, code: string, failure: Failure['class']][] = [
  [/^Parser Error|^Syntax Error/, 'invalid_sql', 'sql'],
  [/^Binder Error|^Catalog Error|^Not implemented Error|^Missing Extension Error/, 'invalid_sql', 'sql'],
  [/^Permission Error/, 'file_not_allowed', 'sql'],
  [
    /^Conversion Error|^Out of Range Error|^Invalid Input Error|^Invalid Error|^Mismatch Type Error|^Constraint Error/,
    'invalid_value',
    'sql',
  ],
  [/^Out of Memory Error|^OutOfMemory/, 'out_of_memory', 'limit'],
  [/^INTERRUPT Error/, 'cancelled', 'cancelled'],
  [/^IO Error|^HTTP Error|^Serialization Error|^Invalid Configuration Error/, 'source_error', 'source'],
]

/** A statement writes nothing but files of ours: that a disk is full is the node's trouble, and where it is nobody's business. */
const UNWRITTEN = /^IO Error: (?:Could not|Failed to) write (?:all|file|to file)\b[\s\S]*: ([^:\n]+)$/

/** Codes of the child's own faults (`ChildFault`). */
const OWN_CLASSES: Record<string, Failure['class']> = {
  not_a_select: 'sql',
  invalid_parameter: 'sql',
  invalid_argument: 'arguments',
  sandbox: 'internal',
}

/** DuckDB's errors have no code but a stable first word; the binding sometimes puts its own words before it. */
export const failureOf = (code: string | null, text: string): Failure => {
  const message = text.replace(/^Failed to [a-z ]+: /, '')
  if (code !== null) return { code, message: message.slice(0, MAX_MESSAGE_CHARACTERS), class: OWN_CLASSES[code] ?? 'internal' }
  const own = message.indexOf(OWN_ERROR)
  if (own >= 0)
    return { code: 'unkeepable_value', message: message.slice(own + OWN_ERROR.length).slice(0, MAX_MESSAGE_CHARACTERS), class: 'sql' }
  const unwritten = UNWRITTEN.exec(message)?.[1]
  if (unwritten !== undefined)
    return { code: 'node_disk', message: `the node could not write a file of this job: ${unwritten.slice(0, 200)}`, class: 'limit' }
  const found = CODES.find(([prefix]) => prefix.test(message))
  const remedy =
    found?.[1] === 'file_not_allowed' ? '. Name a file inside the folders that the node allows, relative to the task file.' : ''
  return {
    code: found?.[1] ?? 'engine_error',
    message: `${message.trim().slice(0, MAX_MESSAGE_CHARACTERS)}${remedy}`,
    class: found?.[2] ?? 'internal',
  }
}

export const engineFault = (failure: Failure['class'], code: string, message: string): EngineFault =>
  new EngineFault({ class: failure, code, message: message.slice(0, MAX_MESSAGE_CHARACTERS) })
