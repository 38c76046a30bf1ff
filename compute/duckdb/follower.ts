import { dlopen, ptr } from 'bun:ffi'
import { type FileHandle, open } from 'node:fs/promises'

const CHUNK_BYTES = 1024 * 1024

const makePipe = (path: string): void => {
  const libc = dlopen('libc.so.6', { mkfifo: { args: ['ptr', 'u32'], returns: 'i32' } })
  if (libc.symbols.mkfifo(ptr(Buffer.from(`${path}\0`)), 0o600) !== 0) throw new Error('no pipe could be made')
}

/**
 * Gives a file that is still growing to a statement that reads a pipe: DuckDB takes the end of a file for the end of the
 * data, and waits at an empty pipe. The pipe ends when the file has ended, or at `stop`, where the statement's result
 * counts for nothing.
 */
export class Follower {
  readonly #file: FileHandle
  /** Keeps the pipe from ending before its reader has come. It is a reader too: as long as it is open a write waits. */
  readonly #keeper: FileHandle
  readonly #pen: FileHandle
  readonly #broken: () => void
  /** Bytes that are in the file. */
  #grown = 0
  #ended = false
  #stopped = false
  #wake: (() => void) | null = null

  private constructor(file: FileHandle, keeper: FileHandle, pen: FileHandle, broken: () => void) {
    this.#file = file
    this.#keeper = keeper
    this.#pen = pen
    this.#broken = broken
    void this.#copy()
  }

  /** Makes `pipe` beside the file. `broken` is called when the file cannot be read, before the pipe ends: it would look like all there is. */
  static async open(path: string, pipe: string, broken: () => void): Promise<Follower> {
    makePipe(pipe)
    const file = await open(path, 'r')
    const keeper = await open(pipe, 'r+')
    return new Follower(file, keeper, await open(pipe, 'w'), broken)
  }

  /** The file has so many bytes by now; `ended`: and will have no more. At least a pipe's size of them, 64 KiB, when it ends. */
  grown(bytes: number, ended: boolean): void {
    this.#grown = bytes
    this.#ended = ended
    this.#wake?.()
  }

  /** Ends the pipe, for a statement that was stopped and for one that left without reading all. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    // Whoever waits for a reader hears now that there is none.
    void this.#keeper.close().catch(() => undefined)
    this.#wake?.()
  }

  async #copy(): Promise<void> {
    const chunk = new Uint8Array(CHUNK_BYTES)
    try {
      for (let at = 0; !this.#stopped; ) {
        if (at < this.#grown) {
          const { bytesRead } = await this.#file.read(chunk, 0, Math.min(CHUNK_BYTES, this.#grown - at), at)
          if (bytesRead === 0) throw new Error('the file is shorter than it was said to be')
          for (let given = 0; given < bytesRead && !this.#stopped; ) {
            given += (await this.#pen.write(chunk, given, bytesRead - given)).bytesWritten
          }
          at += bytesRead
        } else if (this.#ended) break
        else await this.#growth()
      }
    } catch {
      // Behind `stop` nobody reads any more; before it the keeper does, and what failed is the file (I5).
      if (!this.#stopped) this.#broken()
    } finally {
      this.stop()
      await Promise.allSettled([this.#pen.close(), this.#file.close()])
    }
  }

  async #growth(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    await promise
    this.#wake = null
  }
}
