import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type System, type SystemOptions, startSystem } from '../../../edge/embedded/system.ts'
import { type Client, client } from './client.ts'

/** A whole system on a folder of its own, with task files of the test. */
export interface World {
  system: System
  /** Holds `state` and `tasks`. */
  folder: string
  /** A client of a tenant, with every right of a person unless `scope` says less. */
  as(tenant: string, scope?: string): Promise<Client>
  /** Ends the system and removes the folder. */
  end(): Promise<void>
}

export interface WorldOptions extends Omit<SystemOptions, 'state' | 'tasks'> {
  /** File name → text of task files. */
  tasks?: Record<string, string>
  /** The node's TOML; written to a file. */
  nodeToml?: string
}

export const writeTasks = (folder: string, tasks: Record<string, string>): void => {
  for (const [name, text] of Object.entries(tasks)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/** Starts a system and waits until a job could be taken (unless it has no node). */
export const startWorld = async ({ tasks, nodeToml, ...options }: WorldOptions = {}): Promise<World> => {
  const folder = mkdtempSync(join(tmpdir(), 'scarab-e2e-'))
  mkdirSync(join(folder, 'tasks'))
  writeTasks(join(folder, 'tasks'), tasks ?? {})
  if (nodeToml !== undefined) writeFileSync(join(folder, 'node.toml'), nodeToml)
  const system = await startSystem({
    page: false,
    drainSeconds: 1,
    ...options,
    state: join(folder, 'state'),
    tasks: [join(folder, 'tasks')],
    ...(nodeToml === undefined ? {} : { config: join(folder, 'node.toml') }),
  })
  try {
    if (options.node !== false) await system.ready()
  } catch (fault) {
    await system.stop()
    throw fault
  }
  return {
    system,
    folder,
    as: async (tenant, scope) => client(system.origin, await system.token(tenant, scope === undefined ? {} : { scope })),
    end: async () => {
      await system.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
