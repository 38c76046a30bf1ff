import { signal } from '@preact/signals'
import type { JSX } from 'preact'
import { ApiError, isRecord } from '../../client/wire.ts'
import { ago, exactTime, plural } from '../format.ts'
import { StateMark } from '../icons.tsx'
import { useClock, useLoad } from '../load.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { client } from '../session.ts'

interface NodeInfo {
  name: string
  pool: string
  slots: number | null
  busy: number | null
  engines: string[]
  lastSeen: string | null
  online: boolean
}

/** False once a server said that it has no such list: then the rail does not offer it. */
export const nodesExist = signal(true)

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
const number = (value: unknown): number | null => (typeof value === 'number' ? value : null)

const readNode = (value: unknown): NodeInfo[] => {
  if (!isRecord(value)) return []
  const name = text(value.name) ?? text(value.node)
  if (name === null) return []
  const engines = Array.isArray(value.engines) ? value.engines.filter((one): one is string => typeof one === 'string') : []
  return [
    {
      name,
      pool: text(value.pool) ?? '',
      slots: number(value.slots),
      busy: number(value.busy) ?? number(value.running),
      engines,
      lastSeen: text(value.last_seen_at),
      online: value.online !== false,
    },
  ]
}

export const listNodes = async (abort?: AbortSignal): Promise<NodeInfo[]> => {
  try {
    const body = await client.http.json('/v1/nodes', isRecord, abort ? { signal: abort } : {})
    nodesExist.value = true
    return (Array.isArray(body.items) ? body.items : []).flatMap(readNode)
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) nodesExist.value = false
    throw error
  }
}

/** Asks once whether the server can list its nodes. */
export const probeNodes = (): void => void listNodes().catch(() => undefined)

export const Nodes = (): JSX.Element => {
  const list = useLoad('nodes', listNodes)
  const now = useClock(5_000)
  return (
    <section class="place" aria-labelledby="nodes-title">
      <header class="place-head">
        <h1 id="nodes-title">Nodes</h1>
      </header>
      {list.error !== null ? <ErrorNotice error={list.error} what="The nodes" retry={list.reload} /> : null}
      {list.value === null && list.error === null ? <Skeleton lines={3} label="Loading nodes" /> : null}
      {list.value?.length === 0 ? (
        <Notice kind="empty" title="No compute node serves you now.">
          Jobs are taken and wait. Start one with <code>npm run node</code>.
        </Notice>
      ) : null}
      <ul class="node-list">
        {list.value?.map((node) => (
          <li key={node.name} class="node" data-node={node.name}>
            <span class="state">
              <StateMark state={node.online ? 'done' : 'cancelled'} />
              <span class="node-name">{node.name}</span>
              <span class="quiet">{node.online ? 'connected' : 'gone'}</span>
            </span>
            <span class="quiet">{node.pool === '' ? '' : `pool ${node.pool}`}</span>
            {node.slots !== null && node.busy === null ? <span class="quiet">{plural(node.slots, 'slot')}</span> : null}
            {node.slots === null || node.busy === null ? null : (
              <span class="slots" role="img" aria-label={`${node.busy ?? 0} of ${node.slots} slots are busy with your jobs`}>
                {Array.from({ length: Math.min(node.slots, 64) }, (_, at) => (
                  <span key={at} class={at < (node.busy ?? 0) ? 'slot busy' : 'slot'} />
                ))}
              </span>
            )}
            <span class="quiet">{node.engines.join(', ')}</span>
            {node.online || node.lastSeen === null ? null : (
              <span class="quiet" title={exactTime(node.lastSeen)}>
                seen {ago(node.lastSeen, now)}
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}
