import { SliceFault } from './faults.ts'

/** Gathers an answer's text in memory, and moves to a file when it grows beyond what may go over the socket. */
export class Outlet {
  readonly #maxBodyBytes: number
  readonly #maxBytes: number
  readonly #path: string
  #parts: string[] = []
  #bytes = 0
  #file: ReturnType<ReturnType<typeof Bun.file>['writer']> | null = null

  constructor(path: string, maxBodyBytes: number, maxBytes: number) {
    this.#path = path
    this.#maxBodyBytes = maxBodyBytes
    this.#maxBytes = maxBytes
  }

  async write(text: string): Promise<void> {
    this.#bytes += Buffer.byteLength(text)
    if (this.#bytes > this.#maxBytes)
      throw new SliceFault('slice_failed', `the answer is larger than ${this.#maxBytes} bytes: ask for less`)
    if (this.#file === null) {
      this.#parts.push(text)
      if (this.#bytes <= this.#maxBodyBytes) return
      this.#file = Bun.file(this.#path).writer({ highWaterMark: 1024 * 1024 })
      this.#file.write(this.#parts.join(''))
      this.#parts = []
    } else {
      this.#file.write(text)
    }
    await this.#file.flush()
  }

  async end(): Promise<{ ok: true; body: string } | { ok: true; stored: number }> {
    if (this.#file === null) return { ok: true, body: this.#parts.join('') }
    await this.#file.end()
    return { ok: true, stored: this.#bytes }
  }

  async discard(): Promise<void> {
    this.#parts = []
    if (this.#file === null) return
    await this.#file.end()
    await Bun.file(this.#path).delete()
  }
}
