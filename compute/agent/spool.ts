import { mkdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lease } from '../../edge/contract/node.ts'

/** Folders of attempts on the node's own disk. What an earlier process left is worthless (its leases are gone), so it goes at the start. */
export interface Spool {
  /** Makes the attempt's empty folder. */
  open(lease: Lease): Promise<string>
  /** Where the attempt's folder is to be, for those who make it only when they need it. */
  place(lease: Lease): string
  drop(lease: Lease): Promise<void>
}

export const openSpool = async (root: string): Promise<Spool> => {
  await rm(root, { recursive: true, force: true })
  await mkdir(root, { recursive: true, mode: 0o700 })
  // Job ids are unique over all tenants, so tenant names stay out of the file system.
  const folderOf = ({ job, attempt }: Lease): string => join(root, `${job}-${attempt}`)
  return {
    open: async (lease) => {
      const folder = folderOf(lease)
      await mkdir(folder, { mode: 0o700 })
      return folder
    },
    place: folderOf,
    drop: async (lease) => {
      const folder = folderOf(lease)
      // Most folders of small results are empty, or were never made: one call instead of a walk.
      await rmdir(folder).catch((fault: NodeJS.ErrnoException) =>
        fault.code === 'ENOENT' ? undefined : rm(folder, { recursive: true, force: true }),
      )
    },
  }
}
