import type { JSX } from 'preact'
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { isAbort, type Slice, type View } from '../../client/index.ts'
import { count, plural } from '../format.ts'
import { ReportGrid } from '../grid/element.ts'
import { Icon } from '../icons.tsx'
import type { JobSession } from '../job-session.ts'
import { announce, tell } from '../parts/announce.tsx'
import { Chips } from '../parts/chips.tsx'
import { Explorer } from '../parts/explorer.tsx'
import { ErrorNotice, Notice } from '../parts/notice.tsx'
import { saveBlob } from '../parts/save.ts'
import { SqlDrawer } from '../parts/sql-drawer.tsx'
import { address, go } from '../route.ts'
import { curlOf, directionOf, EMPTY_VIEW, filterByCell, specOf, toggleGroup, toggleSort, type ViewState, writeView } from '../view-state.ts'

const remembered = (key: string, fallback: boolean): boolean => {
  const kept = localStorage.getItem(key)
  return kept === null ? fallback : kept === '1'
}

/** A finished result: chips, grid, column explorer, SQL. The address holds the view; this only follows it. */
export const Result = ({ session, slice, view }: { session: JobSession; slice: Slice; view: ViewState }): JSX.Element => {
  const grid = useRef<ReportGrid | null>(null)
  const frame = useRef<HTMLDivElement | null>(null)
  const [shown, setShown] = useState<View | null>(null)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const [explorer, setExplorer] = useState(() => remembered('scarab.explorer', innerWidth > 1100))
  const [drawer, setDrawer] = useState(view.sql !== null)
  const [searching, setSearching] = useState(0)
  const [round, setRound] = useState(0)
  const mode = session.mode.value
  const spec = useMemo(() => specOf(view), [JSON.stringify(view)])
  const specKey = JSON.stringify(spec)
  const last = useRef<string | null>(null)
  const open = useRef<View | null>(null)

  const change = useCallback(
    (next: Partial<ViewState>, options: { replace?: boolean } = {}) =>
      go(address('jobs', session.id, writeView({ ...view, ...next })), options),
    [session.id, JSON.stringify(view)],
  )

  // What the grid calls must see the newest view without the grid being shown again.
  const latest = useRef({ change, view, slice })
  latest.current = { change, view, slice }

  useEffect(() => {
    if (frame.current === null || grid.current !== null) return
    const made = document.createElement('report-grid')
    if (!(made instanceof ReportGrid)) return
    made.className = 'grid'
    made.label = `Result of ${slice.document.task}`
    made.handlers = {
      sort: (column, also) => latest.current.change({ order: toggleSort(latest.current.view.order, column, also) }),
      group: (column) => {
        const { group, sql } = latest.current.view
        if (sql !== null || !slice.columns.some((one) => one.name === column)) return tell('Only a column of the report can be grouped by.')
        latest.current.change(toggleGroup(group, column))
      },
      filter: (column, cell) => {
        const made = filterByCell(latest.current.view, slice.columns, column.name, cell)
        if ('why' in made) tell(made.why)
        else latest.current.change(made.change)
      },
      search: () => {
        setExplorer(true)
        setSearching((before) => before + 1)
      },
      note: tell,
      failed: setError,
      painted: () => frame.current?.setAttribute('data-painted', String(performance.now())),
    }
    frame.current.append(made)
    grid.current = made
  }, [])

  useEffect(() => {
    const stop = new AbortController()
    const same = last.current === specKey
    setBusy(true)
    setError(null)
    frame.current?.setAttribute('data-shown', '')
    slice.view(spec, { signal: stop.signal, priority: 'view' }).then(
      (made) => {
        if (stop.signal.aborted) return made.close()
        open.current?.close()
        open.current = made
        last.current = specKey
        grid.current?.show(made.columns, (column) => directionOf(view.order, column), made, same)
        frame.current?.setAttribute('data-shown', `${made.mode} ${specKey}`)
        setShown(made)
        setBusy(false)
        if (!same) announce(plural(made.count, 'row'))
      },
      (thrown: unknown) => {
        if (stop.signal.aborted || isAbort(thrown)) return
        // Before the copy is here a refusal of the server decides nothing: the copy will answer.
        if (slice.mode === 'preview') return
        setBusy(false)
        setError(thrown instanceof Error ? thrown : new Error(String(thrown)))
      },
    )
    return () => stop.abort()
  }, [specKey, mode, slice, round])
  useEffect(() => () => open.current?.close(), [])

  const toggleExplorer = (): void => {
    localStorage.setItem('scarab.explorer', explorer ? '0' : '1')
    setExplorer(!explorer)
  }
  const of = shown === null ? slice.rowCount : shown.count
  const narrowed = view.where.length > 0 && view.group.length === 0 && view.sql === null
  // The statement failed: what is shown answers the question before it.
  const outdated = error !== null && view.sql !== null
  const empty = shown !== null && shown.count === 0 && !busy && error === null

  return (
    <div class={`result${explorer ? ' with-explorer' : ''}`} data-hook="result" data-busy={busy} data-columns={shown?.columns.length ?? 0}>
      <div class="toolbar" role="toolbar" aria-label="The view">
        <Chips slice={slice} view={view} change={change} />
        <span class="row-count" data-hook="row-count" data-count={of}>
          {outdated
            ? 'The rows are those from before'
            : of === slice.rowCount && view.group.length === 0 && view.sql === null
              ? ''
              : narrowed
                ? `${count(of)} of ${plural(slice.rowCount, 'row')}`
                : plural(of, 'row')}
          {shown?.truncated && !outdated ? ' (cut)' : ''}
        </span>
        <span class="tools">
          <ExportButton slice={slice} view={view} rows={of} />
          <button
            type="button"
            class="button flat"
            data-hook="curl"
            title="Copies a request that gives this view"
            onClick={() => {
              const text = curlOf(location.origin, session.id, view)
              navigator.clipboard.writeText(text).then(
                () => tell('Copied. Put your token into $SCARAB_TOKEN.'),
                () => tell('The browser did not let the page copy.'),
              )
            }}
          >
            <Icon name="copy" /> <span class="tool-word">curl</span>
          </button>
          <button type="button" class="button flat" aria-pressed={drawer} data-hook="sql-toggle" onClick={() => setDrawer(!drawer)}>
            <Icon name="sql" /> <span class="tool-word">SQL</span>
          </button>
          <button type="button" class="button flat" aria-pressed={explorer} data-hook="explorer-toggle" onClick={toggleExplorer}>
            <Icon name="columns" /> <span class="tool-word">Columns</span>
          </button>
        </span>
      </div>
      <div class={outdated ? 'grid-frame outdated' : 'grid-frame'} ref={frame}>
        {busy ? <div class="busy-line" role="progressbar" aria-label="Computing the view" /> : null}
        {error !== null && view.sql === null ? (
          <div class="over-grid">
            <ErrorNotice error={error} what="This view" retry={() => setRound(round + 1)} />
            {view.where.length > 0 || view.group.length > 0 ? (
              <button type="button" class="button" onClick={() => change({ ...EMPTY_VIEW, source: view.source })}>
                Show the whole result
              </button>
            ) : null}
          </div>
        ) : null}
        {empty ? (
          <div class="over-grid">
            {slice.rowCount === 0 ? (
              <Notice kind="empty" title="The result has no rows.">
                The query ran and found nothing.
              </Notice>
            ) : (
              <Notice kind="empty" title="No row is left." action={{ label: 'Remove the filters', run: () => change({ where: [] }) }} />
            )}
          </div>
        ) : null}
      </div>
      {explorer ? (
        <Explorer
          slice={slice}
          mode={mode}
          view={view}
          searching={searching}
          change={change}
          goTo={(column) => grid.current?.goToColumn(column)}
          close={toggleExplorer}
        />
      ) : null}
      {drawer ? (
        <SqlDrawer
          slice={slice}
          mode={mode}
          view={view}
          busy={busy && view.sql !== null}
          error={view.sql === null ? null : error}
          run={(sql) => (sql === view.sql ? setRound(round + 1) : change({ ...EMPTY_VIEW, source: view.source, sql }))}
          leave={() => change({ sql: null, order: [] })}
          close={() => setDrawer(false)}
        />
      ) : null}
    </div>
  )
}

const ExportButton = ({ slice, view, rows }: { slice: Slice; view: ViewState; rows: number }): JSX.Element => {
  const [done, setDone] = useState<number | null>(null)
  const stop = useRef<AbortController | null>(null)
  useEffect(() => () => stop.current?.abort(), [])
  const start = async (): Promise<void> => {
    if (stop.current !== null) {
      stop.current.abort()
      return
    }
    const mine = new AbortController()
    stop.current = mine
    setDone(0)
    try {
      const blob = await slice.exportCsv(specOf(view), { signal: mine.signal, onProgress: setDone })
      const name = `${slice.document.task.replace(/[^\p{L}\p{N}._-]+/gu, '_')}-${slice.document.run_date}.csv`
      saveBlob(blob, name)
      tell(`${name} is saved.`)
    } catch (error) {
      tell(isAbort(error) ? 'The export was stopped.' : `The export failed: ${error instanceof Error ? error.message : String(error)}`)
    }
    stop.current = null
    setDone(null)
  }
  return (
    <button
      type="button"
      class="button flat"
      data-hook="export"
      onClick={() => void start()}
      title={done === null ? 'Saves this view as CSV' : 'Stops the export'}
    >
      <Icon name="download" />{' '}
      <span class="tool-word">{done === null ? 'CSV' : `${Math.min(99, Math.floor((done / Math.max(1, rows)) * 100))} %`}</span>
    </button>
  )
}
