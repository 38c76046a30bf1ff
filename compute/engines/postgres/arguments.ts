import type { Argument, Param } from '../../../edge/contract/tasks.ts'
import { fault } from './faults.ts'

/**
 * Arguments as the texts that are bound to `$1 … $n`; null is NULL, and '' stays ''. What a text means is the server's
 * to say, by the type of the place. Throws EngineFault (class `arguments`).
 */
export const boundTexts = (args: readonly Argument[], params: readonly Param[], arity: number): (string | null)[] => {
  if (args.length > arity) throw fault('invalid_argument', `the statement takes ${arity} arguments, ${args.length} were given`, 'arguments')
  return Array.from({ length: arity }, (_, n) => {
    const param = params[n]
    const value = n < args.length ? args[n] : param?.default
    if (value === undefined)
      throw fault('missing_argument', `argument ${n + 1} is missing: the statement takes ${arity}, ${args.length} were given`, 'arguments')
    if (value === null) return null
    const text = String(value)
    if (text.includes('\0'))
      throw fault(
        'invalid_argument',
        `argument ${n + 1}${param ? ` (${param.name})` : ''} contains a NUL character, which PostgreSQL cannot hold`,
        'arguments',
      )
    return text
  })
}
