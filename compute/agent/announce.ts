import type { AnnouncedTask } from '../../edge/contract/tasks.ts'
import { MAX_MESSAGE_BYTES } from './lanes.ts'

/** The contract's bound for one message. */
const MAX_TASKS = 200

/** Cuts the list of tasks into messages; the last one says so, and stands alone when there is no task at all. */
export const announceMessages = (tasks: AnnouncedTask[], nextRe: () => number): { re: number; text: string }[] => {
  const groups: string[][] = [[]]
  let bytes = 0
  for (const task of tasks) {
    const json = JSON.stringify(task)
    const group = groups.at(-1) ?? []
    if (group.length > 0 && (group.length >= MAX_TASKS || bytes + json.length > MAX_MESSAGE_BYTES)) {
      groups.push([json])
      bytes = json.length
    } else {
      group.push(json)
      bytes += json.length
    }
  }
  return groups.map((group, index) => {
    const re = nextRe()
    return { re, text: `{"type":"announce","re":${re},"tasks":[${group.join(',')}],"last":${index === groups.length - 1}}` }
  })
}
