import { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Source } from '../engines/engine.ts'
import type { DescribeRequest } from './describe.ts'
import { describeTasks } from './describe.ts'
import { loadTasks } from './load.ts'
import type { LoadedTask } from './parse.ts'
import type { TaskProblem } from './problem.ts'

/** The contract's part of a task: paths, folders and DungBeetle's result names stay on the node. */
export const announcement = (task: LoadedTask): AnnouncedTask => AnnouncedTask.parse(task)

/** The tasks that a node serves. Immutable: a reload makes a new one. */
export class Catalogue {
  readonly tasks: readonly LoadedTask[]
  readonly problems: readonly TaskProblem[]
  readonly #byName: ReadonlyMap<string, LoadedTask>

  constructor(tasks: readonly LoadedTask[], problems: readonly TaskProblem[]) {
    this.tasks = tasks
    this.problems = problems
    this.#byName = new Map(tasks.map((task) => [task.name, task]))
  }

  /** I7: a node runs only what stands in its own files. With a hash, only that very text; null where there is none. */
  find(name: string, hash?: string): LoadedTask | null {
    const task = this.#byName.get(name)
    return task !== undefined && (hash === undefined || task.hash === hash) ? task : null
  }

  announcements(): AnnouncedTask[] {
    return this.tasks.map(announcement)
  }

  /** Columns asked for again, for instance when a source is back. Keeps the problems of loading. */
  async described(request: Omit<DescribeRequest, 'tasks'>): Promise<Catalogue> {
    const { tasks, problems } = await describeTasks({ ...request, tasks: this.tasks })
    return new Catalogue(tasks, [...this.problems, ...problems])
  }

  static async load(folders: readonly string[], sources: readonly Source[]): Promise<Catalogue> {
    const { tasks, problems } = await loadTasks({ folders, sources })
    return new Catalogue(tasks, problems)
  }
}
