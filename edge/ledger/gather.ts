/** What arrives within this time after a first one shares its successor's transaction: the first goes at once, so nobody waits alone. */
const GATHER_MS = 2

interface Waiting<In, Out> {
  item: In
  answer: (out: Out) => void
  fail: (fault: unknown) => void
}

/** Leading-edge gather: one transaction for what arrives together, and no delay for what arrives alone. */
export class Gather<In, Out> {
  readonly #take: (items: In[]) => Out[]
  #batch: Waiting<In, Out>[] | null = null

  /** `take` handles many in one transaction and answers in order; when it throws, all of them failed. */
  constructor(take: (items: In[]) => Out[]) {
    this.#take = take
  }

  add(item: In): Promise<Out> {
    const batch = this.#batch
    if (batch) return new Promise((answer, fail) => batch.push({ item, answer, fail }))
    this.#batch = []
    setTimeout(() => this.#flush(), GATHER_MS)
    return new Promise((answer, fail) => this.#handle([{ item, answer, fail }]))
  }

  #flush(): void {
    const batch = this.#batch ?? []
    if (batch.length === 0) {
      this.#batch = null
      return
    }
    this.#batch = []
    setTimeout(() => this.#flush(), GATHER_MS)
    this.#handle(batch)
  }

  #handle(batch: Waiting<In, Out>[]): void {
    try {
      const outs = this.#take(batch.map(({ item }) => item))
      for (const [index, { answer, fail }] of batch.entries()) {
        const out = outs[index]
        if (out === undefined) fail(new Error('a submit was not answered'))
        else answer(out)
      }
    } catch (reason) {
      for (const { fail } of batch) fail(reason)
    }
  }
}
