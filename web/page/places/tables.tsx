import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ago, count, exactTime, plural } from '../format.ts'
import { listTables, loadTable, type Snapshot, type Table } from '../iceberg.ts'
import { Icon } from '../icons.tsx'
import { useClock, useLoad } from '../load.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { address } from '../route.ts'

export const Tables = ({ chosen }: { chosen: string | null }): JSX.Element => {
  const list = useLoad('tables', listTables)
  return (
    <div class={`split${chosen === null ? '' : ' split-open'}`}>
      <section class="list-side" aria-labelledby="tables-title">
        <header class="place-head">
          <h1 id="tables-title">Tables</h1>
          {list.value === null ? null : <span class="quiet">{plural(list.value.length, 'report family', 'report families')}</span>}
        </header>
        {list.error !== null ? <ErrorNotice error={list.error} what="The tables" retry={list.reload} /> : null}
        {list.value === null && list.error === null ? <Skeleton lines={5} label="Loading tables" /> : null}
        {list.value?.length === 0 ? (
          <Notice kind="empty" title="There are no tables yet.">
            The first published result of a report makes its table. Run a <a href={address('reports')}>report</a>.
          </Notice>
        ) : null}
        <ul class="report-list">
          {list.value?.map((name) => (
            <li key={name}>
              <a
                class={name === chosen ? 'report current' : 'report'}
                aria-current={name === chosen ? 'true' : undefined}
                href={address('tables', name)}
                data-table={name}
              >
                <span class="report-name mono">{name}</span>
              </a>
            </li>
          ))}
        </ul>
      </section>
      {chosen === null ? null : <TablePlace key={chosen} name={chosen} />}
    </div>
  )
}

const TablePlace = ({ name }: { name: string }): JSX.Element => {
  const table = useLoad(name, (signal) => loadTable(name, signal))
  return (
    <section class="form-side" aria-label={name}>
      <header class="form-head">
        <h2 class="mono">{name}</h2>
        <a class="icon-button" href={address('tables')} aria-label="Close the table">
          <Icon name="close" />
        </a>
      </header>
      {table.error !== null ? <ErrorNotice error={table.error} what="The table" retry={table.reload} /> : null}
      {table.value === null && table.error === null ? <Skeleton lines={5} label="Loading the table" /> : null}
      {table.value === null ? null : <TableFacts table={table.value} />}
    </section>
  )
}

const TableFacts = ({ table }: { table: Table }): JSX.Element => {
  const [at, setAt] = useState(0)
  const now = useClock(15_000)
  const snapshot = table.snapshots[at]
  return (
    <div class="table-facts">
      {snapshot === undefined ? (
        <Notice kind="empty" title="Nothing has been published to it yet.">
          A result appears here a moment after its job is done.
        </Notice>
      ) : (
        <>
          <p>
            {snapshot.total === null ? 'Rows are not counted' : plural(snapshot.total, 'row')} as of{' '}
            <time title={exactTime(new Date(snapshot.at).toISOString())}>{ago(new Date(snapshot.at).toISOString(), now)}</time>
            {at === 0 ? ' (now)' : ''}
          </p>
          {table.snapshots.length > 1 ? (
            <label class="field as-of">
              <span>As of</span>
              <input
                type="range"
                min={0}
                max={table.snapshots.length - 1}
                value={table.snapshots.length - 1 - at}
                aria-valuetext={exactTime(new Date(snapshot.at).toISOString())}
                onInput={(event) => setAt(table.snapshots.length - 1 - Number(event.currentTarget.value))}
              />
            </label>
          ) : null}
        </>
      )}
      <ol class="timeline" aria-label="Snapshots, newest first">
        {table.snapshots.slice(0, 50).map((one, index) => (
          <SnapshotLine key={one.id} snapshot={one} now={now} current={index === at} choose={() => setAt(index)} />
        ))}
      </ol>
      {table.columns.length === 0 ? null : (
        <>
          <h3>Columns</h3>
          <dl class="columns-list">
            {table.columns.map((column) => (
              <div key={column.name}>
                <dt class="mono">{column.name}</dt>
                <dd class="quiet mono">{column.type}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
      <p class="quiet">
        Any Iceberg reader can attach to <code>{location.origin}/iceberg</code> with a token.
      </p>
    </div>
  )
}

const SnapshotLine = ({
  snapshot,
  now,
  current,
  choose,
}: {
  snapshot: Snapshot
  now: number
  current: boolean
  choose: () => void
}): JSX.Element => {
  const time = new Date(snapshot.at).toISOString()
  return (
    <li>
      <button
        type="button"
        class={current ? 'snapshot current' : 'snapshot'}
        aria-pressed={current}
        onClick={choose}
        title={`Snapshot ${snapshot.id}`}
      >
        <span class="dot" />
        <span title={exactTime(time)}>{ago(time, now)}</span>
        <span class="quiet">{snapshot.operation}</span>
        <span class="right">{snapshot.added === null ? '' : `+${count(snapshot.added)}`}</span>
      </button>
    </li>
  )
}
