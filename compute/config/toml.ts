import type { Checked } from './table.ts'

/** Looking for the line of a fault parses the file again and again; beyond this the line is left out. */
const MAX_LINES_SEARCHED = 2_000

const tryParse = (content: string): Checked<unknown> => {
  try {
    return { ok: true, value: Bun.TOML.parse(content) }
  } catch (error) {
    // Bun repeats a stretch of the file in double quotes, which may be half a password.
    const message = error instanceof Error ? error.message.replace(/^TOML Parse error: /, '').replace(/".*"/s, 'a value') : 'unknown fault'
    return { ok: false, detail: message }
  }
}

/** Bun names no line. The fault begins behind the longest run of lines that parses. */
const lineOfFault = (content: string): number | null => {
  const lines = content.split('\n')
  if (lines.length > MAX_LINES_SEARCHED) return null
  for (let count = lines.length - 1; count > 0; count--) {
    if (tryParse(lines.slice(0, count).join('\n')).ok) return count + 1
  }
  return 1
}

/** TOML 1.0 by Bun. The detail of a fault names its line and nothing of the file's text. */
export const parseToml = (content: string): Checked<unknown> => {
  const parsed = tryParse(content)
  if (parsed.ok) return parsed
  const line = lineOfFault(content)
  return {
    ok: false,
    detail: `${line === null ? '' : `line ${line}: `}this is not TOML (${parsed.detail}); texts stand in quotes, tables in [brackets]`,
  }
}
