import { Hono } from 'hono'
import { TaskName } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import type { TaskInfo } from '../contract/tasks.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import { gateOf } from '../identity/wire.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { allow } from './guard.ts'

/** SQL text is shown only with its own scope. */
const shown = (c: AppContext, task: CataloguedTask): TaskInfo => {
  if (personOf(c).scopes.includes('tasks:sql')) return task
  const { sql: _hidden, ...rest } = task
  return rest
}

/** The task of a path, as this tenant sees it. */
export const findTask = (c: AppContext): Promise<CataloguedTask> => taskNamed(c, String(c.req.param('task')))

/** A task by its name. Throws `unknown_task`. */
export const taskNamed = async (c: AppContext, name: string): Promise<CataloguedTask> => {
  const parsed = TaskName.safeParse(name)
  const task = parsed.success ? await gateOf(c.env).directory.task(personOf(c).tenant, parsed.data) : null
  if (!task)
    throw new Problem(
      'unknown_task',
      `No node that serves this tenant has announced a task "${name.slice(0, 200)}". GET /v1/tasks lists them.`,
    )
  return task
}

export const tasksApp = new Hono<AppEnv>()
  .get('/', allow('tasks:read'), async (c) => {
    const tasks = await gateOf(c.env).directory.tasks(personOf(c).tenant)
    return c.json({ items: tasks.map((task) => shown(c, task)), next: null })
  })
  .get('/:task', allow('tasks:read'), async (c) => c.json(shown(c, await findTask(c))))
