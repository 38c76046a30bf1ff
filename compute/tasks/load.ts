import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Source } from '../engines/engine.ts'
import type { LoadedTask } from './parse.ts'
import { parseTasks } from './parse.ts'
import type { TaskProblem } from './problem.ts'

/** A file above this size holds data, not reports. */
const MAX_FILE_BYTES = 4 * 1024 * 1024

export interface LoadRequest {
  /** Folders (or single `.sql` files), absolute or relative to the process. */
  folders: readonly string[]
  /** The configured sources; the embedded `duckdb` need not be among them. */
  sources: readonly Source[]
}

export interface Loaded {
  /** Sorted by name. Columns are null until `describeTasks`. */
  tasks: LoadedTask[]
  problems: TaskProblem[]
}

const wholeFile = (file: string, message: string): TaskProblem => ({
  severity: 'error',
  code: 'unreadable',
  file,
  line: 0,
  task: null,
  message,
})

/** Of a failed system call only the code: messages of the platform repeat paths and differ between releases. */
const reasonOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error'

/**
 * All `.sql` files of a folder and its subfolders (DungBeetle takes the folder's own only). Hidden entries and
 * `node_modules` are left out; a link to a file is followed (mounted configuration consists of them), a link to a folder
 * is not, so that no loop is possible.
 */
const sqlFiles = async (folder: string, problems: TaskProblem[]): Promise<string[]> => {
  const files: string[] = []
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    problems.push(wholeFile(folder, `the folder cannot be read (${reasonOf(error)}); check its name and rights`))
    return []
  })
  for (const entry of entries) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) files.push(...(await sqlFiles(path, problems)))
    else if (entry.name.endsWith('.sql')) files.push(path)
  }
  return files
}

const readTasks = async (file: string, sources: readonly Source[]): Promise<Loaded> => {
  try {
    const { size } = await stat(file)
    if (size > MAX_FILE_BYTES) {
      return { tasks: [], problems: [wholeFile(file, `the file has ${size} bytes; at most ${MAX_FILE_BYTES} are read, split it`)] }
    }
    const bytes = await readFile(file)
    let content: string
    try {
      content = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch {
      return { tasks: [], problems: [wholeFile(file, 'the file is not UTF-8; save it in that encoding')] }
    }
    return parseTasks(file, content, sources)
  } catch (error) {
    return { tasks: [], problems: [wholeFile(file, `the file cannot be read (${reasonOf(error)})`)] }
  }
}

/** Of several tasks with one name none is loaded: which of them would run must not hang on the order of files. */
const refuseDuplicates = (tasks: LoadedTask[], problems: TaskProblem[]): LoadedTask[] => {
  const byName = Map.groupBy(tasks, (task) => task.name)
  return tasks.filter((task) => {
    const others = (byName.get(task.name) ?? []).filter((other) => other !== task)
    if (others.length === 0) return true
    const places = others.map((other) => `${other.file}:${other.line}`).join(', ')
    const message = `the name stands at ${places} too, so none of them is loaded; rename all but one`
    problems.push({ severity: 'error', code: 'duplicate_name', file: task.file, line: task.line, task: task.name, message })
    return false
  })
}

/** Reads every task of the folders. Never throws. A file that is reached by two folders is read once. */
export const loadTasks = async ({ folders, sources }: LoadRequest): Promise<Loaded> => {
  const problems: TaskProblem[] = []
  const files = new Map<string, string>()
  for (const folder of folders.map((name) => resolve(name))) {
    const found = await stat(folder).catch(() => null)
    if (found === null) problems.push(wholeFile(folder, 'there is no such folder of task files; create it or correct its name'))
    const inside = found === null ? [] : found.isDirectory() ? await sqlFiles(folder, problems) : [folder]
    for (const file of inside) {
      const real = await realpath(file).catch(() => file)
      if (!files.has(real)) files.set(real, file)
    }
  }
  const tasks: LoadedTask[] = []
  for (const file of [...files.values()].sort()) {
    const read = await readTasks(file, sources)
    tasks.push(...read.tasks)
    problems.push(...read.problems)
  }
  const unique = refuseDuplicates(tasks, problems)
  return { tasks: unique.sort((a, b) => (a.name < b.name ? -1 : 1)), problems }
}
