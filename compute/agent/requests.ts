import type { Column, ResultSchema } from '../../edge/contract/columns.ts'
import type { Lease } from '../../edge/contract/node.ts'
import { Granted, type PutGrant, SchemaAnswer, type ToNode } from '../../edge/contract/node.ts'
import { EngineFault } from '../engines/engine.ts'

/** Thrown when the edge says that the attempt is no longer ours. */
export class Fenced extends Error {
  override readonly name = 'Fenced'
}

/** A question that the edge could not take is asked again after this. */
const AGAIN_MS = 500

export interface GrantFile {
  kind: 'data' | 'pack'
  n: number
  bytes: number
  sha256: string
}

interface Open {
  text: string
  settle(answer: ToNode | Error): void
}

/**
 * Questions to the edge that wait for an answer of their own (`schema`, `grant`). Several are open at once; after a
 * reconnect every open one is asked again.
 */
export class Requests {
  readonly #open = new Map<number, Open>()
  readonly #nextRe: () => number
  readonly #send: (text: string) => void

  /** `send` may drop the text while there is no connection: it is repeated. */
  constructor(nextRe: () => number, send: (text: string) => void) {
    this.#nextRe = nextRe
    this.#send = send
  }

  /** Repeats what was not answered; called after every `welcome`. */
  repeat(): void {
    for (const { text } of this.#open.values()) this.#send(text)
  }

  /** True when the message answered a question. */
  answer(message: ToNode): boolean {
    if (!('re' in message) || message.re === null) return false
    const { re } = message
    const open = this.#open.get(re)
    // A part of the edge did not answer: the question stands, and is asked again in a moment.
    if (open && message.type === 'refused' && message.code === 'unavailable')
      setTimeout(() => {
        if (this.#open.has(re)) this.#send(open.text)
      }, AGAIN_MS)
    else open?.settle(message)
    return open !== undefined
  }

  /** The columns' field ids. Throws `EngineFault` (class `schema`) when the edge refuses the columns, `Fenced`. */
  async schema(lease: Lease, columns: Column[], signal: AbortSignal): Promise<ResultSchema> {
    const { answer } = SchemaAnswer.parse(await this.#ask({ type: 'schema', ...leaseOf(lease), columns }, signal))
    if (answer.ok) return answer.schema
    if (answer.code === 'fenced') throw new Fenced(answer.detail)
    throw new EngineFault({ code: answer.code, message: answer.detail, class: 'schema' })
  }

  /** Where to put the files, in their order. Throws `EngineFault` (class `internal`), `Fenced`. */
  async grant(lease: Lease, files: GrantFile[], signal: AbortSignal): Promise<PutGrant[]> {
    const { answer } = Granted.parse(await this.#ask({ type: 'grant', ...leaseOf(lease), files }, signal))
    if (answer.ok) return answer.puts
    if (answer.code === 'fenced') throw new Fenced(answer.detail)
    throw new EngineFault({ code: answer.code, message: `no upload was granted: ${answer.detail}`, class: 'internal' })
  }

  #ask(message: object, signal: AbortSignal): Promise<ToNode> {
    signal.throwIfAborted()
    const re = this.#nextRe()
    const text = JSON.stringify({ ...message, re })
    return new Promise((resolve, reject) => {
      const stopped = (): void => open.settle(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
      const open: Open = {
        text,
        settle: (answer) => {
          this.#open.delete(re)
          signal.removeEventListener('abort', stopped)
          if (answer instanceof Error) reject(answer)
          else if (answer.type === 'refused')
            reject(new EngineFault({ code: answer.code, message: `the edge refused: ${answer.detail}`, class: 'internal' }))
          else resolve(answer)
        },
      }
      this.#open.set(re, open)
      signal.addEventListener('abort', stopped, { once: true })
      this.#send(text)
    })
  }
}

const leaseOf = ({ tenant, job, attempt }: Lease): Lease => ({ tenant, job, attempt })
