import { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Source } from '../engines/engine.ts'
import type { DescribeRequest } from './describe.ts'
import { describeTasks } from './describe.ts'
import type { Loaded } from './load.ts'
import { loadTasks } from './load.ts'
import type { LoadedTask } from './parse.ts'
import type { TaskProblem } from './problem.ts'

/** The contract's part of a task: paths, folders and DungBeetle's result names stay on the node. */
export const announcement = (task: LoadedTask): AnnouncedTask => AnnouncedTask.parse(task)

/** The tasks that a node serves. Immutable: a reload makes a new one. */
export class Catalogue {
  /** What is announced: loaded, and (after `described`) not refused. */
  readonly tasks: readonly LoadedTask[]
  readonly problems: readonly TaskProblem[]
  readonly #loaded: Loaded
  readonly #byName: ReadonlyMap<string, LoadedTask>

  constructor(loaded: Loaded, described: Loaded = { tasks: loaded.tasks, problems: [] }) {
    this.tasks = described.tasks
    this.problems = [...loaded.problems, ...described.problems]
    this.#loaded = loaded
    this.#byName = new Map(described.tasks.map((task) => [task.name, task]))
  }

  /** I7: a node runs only what stands in its own files. With a hash, only that very text; null where there is none. */
  find(name: string, hash?: string): LoadedTask | null {
    const task = this.#byName.get(name)
    return task !== undefined && (hash === undefined || task.hash === hash) ? task : null
  }

  announcements(): AnnouncedTask[] {
    return this.tasks.map(announcement)
  }

  /**
   * The same tasks with their columns. May be repeated, for instance when a source is back: each time everything that was
   * loaded is asked for again, so a task that was refused before can return.
   */
  async described(request: Omit<DescribeRequest, 'tasks'>): Promise<Catalogue> {
    return new Catalogue(this.#loaded, await describeTasks({ ...request, tasks: this.#loaded.tasks }))
  }

  static async load(folders: readonly string[], sources: readonly Source[]): Promise<Catalogue> {
    return new Catalogue(await loadTasks({ folders, sources }))
  }
}
