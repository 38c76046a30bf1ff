import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  createWriteStream,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  type WriteStream,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { StartFault } from './settings.ts'

/** What a running launcher tells the other commands (`open`), in a file that only its owner can read. */
export const RunningNote = z.object({
  pid: z.int(),
  origin: z.string(),
  /** The development issuer's own address. */
  issuer: z.string(),
  /** Allows minting sign-in codes. */
  control: z.string(),
})
export type RunningNote = z.infer<typeof RunningNote>

/** A state folder held by this process alone. */
export interface StateFolder {
  path: string
  file(name: string): string
  /** Releases the lock. */
  close(): void
}

const codeOf = (fault: unknown): string => {
  if (typeof fault === 'object' && fault !== null && 'code' in fault) return String(fault.code)
  return String(fault)
}

const existing = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

/**
 * Makes a folder and those above it, one by one: Node's own way (`recursive`) never returns where a file system answers ENOENT for
 * a folder whose parent is there, as /proc does.
 */
const makeFolder = (path: string, mode = 0o777): void => {
  if (!existing(dirname(path))) makeFolder(dirname(path), mode)
  try {
    mkdirSync(path, { mode })
  } catch (fault) {
    if (codeOf(fault) !== 'EEXIST' || !statSync(path).isDirectory()) throw fault
  }
}

/**
 * Creates and locks a state folder. The lock is SQLite's exclusive file lock, which the kernel drops when the process
 * dies in whatever way, so there are no stale locks. Throws `StartFault`.
 */
export const openFolder = (path: string): StateFolder => {
  const probe = join(path, `.writable-${process.pid}`)
  try {
    makeFolder(path, 0o700)
    writeFileSync(probe, '')
    rmSync(probe)
  } catch (fault) {
    throw new StartFault(`cannot write to the state folder ${path} (${codeOf(fault)}): make it writable, or choose another by SCARAB_STATE`)
  }
  const lock = new DatabaseSync(join(path, 'lock.db'), { timeout: 0 })
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch {
    lock.close()
    const running = readNote(path)
    const where = running ? ` (${running.origin}, process ${running.pid})` : ''
    throw new StartFault(`another instance is running on ${path}${where}: stop it, or choose another folder by SCARAB_STATE`)
  }
  return { path, file: (name) => join(path, name), close: () => lock.close() }
}

/** Writes a file of mode 600 so that a reader sees the old or the new text, never half of it. */
export const writePrivate = (path: string, text: string): void => {
  makeFolder(dirname(path))
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode: 0o600 })
  chmodSync(draft, 0o600)
  renameSync(draft, path)
}

/** Writes a private file unless there is one already: of two that try at once one wins, and both go on with its text. Throws `StartFault`. */
export const writeOnce = (path: string, text: string): string => {
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`
  try {
    makeFolder(dirname(path), 0o700)
    writeFileSync(draft, text, { mode: 0o600 })
    linkSync(draft, path)
    return text
  } catch (fault) {
    const there = readIfThere(path)
    if (there !== null) return there
    throw new StartFault(`${path} cannot be written (${codeOf(fault)}): make the folder writable, or choose another by SCARAB_STATE`)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** A log is begun anew when a start finds it larger than this; one older copy is kept. */
const MAX_LOG_BYTES = 10 * 1024 * 1024

export const openLog = (path: string): WriteStream => {
  makeFolder(dirname(path))
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) renameSync(path, `${path}.old`)
  return createWriteStream(path, { flags: 'a', mode: 0o600 })
}

export const readIfThere = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

const NOTE = 'running.json'
export const writeNote = (state: string, note: RunningNote): void => writePrivate(join(state, NOTE), `${JSON.stringify(note)}\n`)
export const removeNote = (state: string): void => rmSync(join(state, NOTE), { force: true })
export const readNote = (state: string): RunningNote | null => {
  try {
    return RunningNote.parse(JSON.parse(readIfThere(join(state, NOTE)) ?? ''))
  } catch {
    return null
  }
}
