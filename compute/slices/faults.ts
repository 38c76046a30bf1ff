import type { SliceFaultCode } from './protocol.ts'

/** A slice that cannot be answered, with the code and the sentence that its asker gets. */
export class SliceFault extends Error {
  readonly code: SliceFaultCode
  constructor(code: SliceFaultCode, detail: string) {
    super(detail)
    this.name = 'SliceFault'
    this.code = code
  }
}

/** The pack is not what it should be, or cannot be read. */
export class PackUnusable extends Error {}

/** Said of a slice that was stopped at its time. */
export const TOO_LONG = 'the slice took too long and was stopped: filter it, group it into less, or ask the copy in the browser'

/** What DuckDB adds to errors of execution: a line of the statement that we wrapped around, and settings that nobody here can set. */
const ASIDE = /\n\n(?:LINE \d+:|Possible solutions:)[\s\S]*$/

/** `detail` of the node protocol's `sliced` ends here. */
const MAX_DETAIL_CHARACTERS = 4_000

/** DuckDB's errors have no code but a stable first word. */
const CODES: [prefix: RegExp, code: SliceFaultCode, remedy: string][] = [
  [/^Permission Error/, 'invalid_slice', ' A slice reads the relation "result" and nothing else.'],
  [/^(Parser|Syntax|Binder|Catalog|Not implemented|Missing Extension) Error/, 'invalid_slice', ''],
  [/^(Conversion|Out of Range|Invalid Input|Invalid|Mismatch Type|Constraint) Error/, 'slice_failed', ''],
  [/^(Out of Memory|OutOfMemory)|bad_alloc/, 'slice_failed', ' Ask for fewer rows or groups.'],
  [/^INTERRUPT Error/, 'slice_timeout', ''],
]

/** What is said of any error of the child. Paths of this machine are no business of whoever asks. */
export const faultOf = (error: unknown, folder: string): { ok: false; code: SliceFaultCode; detail: string } => {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof SliceFault) return { ok: false, code: error.code, detail: message.slice(0, MAX_DETAIL_CHARACTERS) }
  const clean = message.replaceAll(`${folder}/`, '').replaceAll(folder, '').trim()
  const [, code, remedy] = CODES.find(([prefix]) => prefix.test(clean)) ?? [null, 'slice_failed' as const, '']
  const said = code === 'slice_failed' ? clean.replace(ASIDE, '') : clean
  return { ok: false, code, detail: `${said.slice(0, MAX_DETAIL_CHARACTERS - remedy.length)}${remedy}` }
}
