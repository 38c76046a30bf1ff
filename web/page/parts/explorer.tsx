import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { type Cell, type Column, type ColumnSummary, type Filter, isAbort, type Mode, type Slice } from '../../client/index.ts'
import { count, show } from '../format.ts'
import { Icon } from '../icons.tsx'
import type { ViewState } from '../view-state.ts'
import { typeName } from './type-name.ts'

interface Props {
  slice: Slice
  mode: Mode
  view: ViewState
  /** Rises when somebody wants to search. */
  searching: number
  change: (next: Partial<ViewState>) => void
  goTo: (column: string) => void
  close: () => void
}

/** Every column with its exact figures over what the filters leave; each column ignores its own filter, so that one can change it. */
export const Explorer = ({ slice, mode, view, searching, change, goTo, close }: Props): JSX.Element => {
  const [search, setSearch] = useState('')
  const input = useRef<HTMLInputElement | null>(null)
  useEffect(() => {
    if (searching > 0) input.current?.focus()
  }, [searching])
  const wanted = search.trim().toLowerCase()
  const columns = slice.columns.filter((column) => column.name.toLowerCase().includes(wanted))
  return (
    <aside class="explorer" aria-label="Columns" data-hook="explorer">
      <header class="explorer-head">
        <label class="search">
          <Icon name="search" />
          <input
            ref={input}
            type="search"
            placeholder={`Search ${slice.columns.length} columns`}
            aria-label="Search columns"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
            onKeyDown={(event) => {
              const [first] = columns
              if (event.key === 'Enter' && first !== undefined) goTo(first.name)
            }}
          />
        </label>
        <button type="button" class="icon-button explorer-close" aria-label="Fold the columns away" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <ul class="explorer-list">
        {columns.map((column) => (
          <li key={column.name}>
            <ColumnCard slice={slice} ready={mode === 'local'} column={column} view={view} change={change} goTo={goTo} />
          </li>
        ))}
      </ul>
      {columns.length === 0 ? <p class="quiet pad">No column is called so.</p> : null}
    </aside>
  )
}

const ColumnCard = (props: {
  slice: Slice
  ready: boolean
  column: Column
  view: ViewState
  change: Props['change']
  goTo: Props['goTo']
}): JSX.Element => {
  const { slice, ready, column, view } = props
  const [summary, setSummary] = useState<ColumnSummary | null>(null)
  const [open, setOpen] = useState(false)
  const card = useRef<HTMLDivElement | null>(null)
  const others = view.where.filter((filter) => filter.col !== column.name)
  const key = JSON.stringify(others)
  // Only what is looked at is counted.
  useEffect(() => {
    const seen = new IntersectionObserver(([entry]) => entry?.isIntersecting && setOpen(true), { rootMargin: '120px' })
    if (card.current !== null) seen.observe(card.current)
    return () => seen.disconnect()
  }, [])
  useEffect(() => {
    if (!ready || !open) return
    const stop = new AbortController()
    slice.stats(column.name, others, { signal: stop.signal, onPart: (part) => !stop.signal.aborted && setSummary(part) }).then(
      (made) => {
        if (!stop.signal.aborted) setSummary(made)
      },
      (error: unknown) => {
        if (!stop.signal.aborted && !isAbort(error)) setSummary(null)
      },
    )
    return () => stop.abort()
  }, [slice, ready, open, column.name, key])
  return (
    <div class="column-card" ref={card} data-column-card={column.name} data-counted={summary !== null}>
      <div class="column-title">
        <button type="button" class="link column-name" onClick={() => props.goTo(column.name)}>
          {column.name}
        </button>
        <span class="quiet mono column-type">{typeName(column.type)}</span>
      </div>
      {summary === null ? <div class="column-wait" /> : <Figures summary={summary} {...props} />}
    </div>
  )
}

/** A bound in the width of a card: times without their fraction. */
const brief = (cell: Cell, type: Column['type']): string =>
  type === 'timestamp' || type === 'time' || type === 'timestamptz'
    ? show(cell, type)
        .text.replace(/\.\d+$/, '')
        .replace(/:\d\d$/, '')
    : show(cell, type).text

const Figures = ({
  summary,
  column,
  view,
  change,
}: {
  summary: ColumnSummary
  column: Column
  view: ViewState
  change: Props['change']
}): JSX.Element => {
  const text = (cell: Cell): string => show(cell, column.type).text
  const own = view.where.filter((filter) => filter.col === column.name)
  const others = view.where.filter((filter) => filter.col !== column.name)
  const put = (filters: Filter[]): void => change({ where: [...others, ...filters], sql: null })
  const most = Math.max(1, ...summary.top.map((one) => one.count))
  const nulls = summary.rows === 0 ? 0 : (summary.nulls / summary.rows) * 100
  return (
    <>
      {summary.top.length > 0 ? (
        <ul class="top-values">
          {summary.top.map(({ value, count: n }) => {
            const chosen = own.some((filter) => filter.op === '=' && filter.value === value)
            return (
              <li key={String(value)}>
                <button
                  type="button"
                  class={chosen ? 'top-value chosen' : 'top-value'}
                  aria-pressed={chosen}
                  onClick={() => {
                    if (value === null || typeof value === 'object') return
                    put(chosen ? [] : [{ col: column.name, op: '=', value }])
                  }}
                >
                  <span class="top-share" style={{ width: `${(n / most) * 100}%` }} />
                  <span class="top-text">{value === '' ? '“”' : text(value)}</span>
                  <span class="top-count">{count(n)}</span>
                </button>
              </li>
            )
          })}
        </ul>
      ) : null}
      {summary.bars.length > 0 ? <Bars summary={summary} put={put} text={text} column={column} /> : null}
      <p class="column-figures">
        {summary.bars.length > 0 && summary.min !== null ? (
          <span class="bounds">
            <span title={String(summary.min)}>{brief(summary.min, column.type)}</span>
            <span title={String(summary.max)}>{brief(summary.max, column.type)}</span>
          </span>
        ) : null}
        <span>
          {summary.distinct === null ? '\u00a0' : `${count(summary.distinct)} distinct`}
          {summary.nulls === 0 ? '' : `${summary.distinct === null ? '' : ' · '}${nulls < 1 ? '<1' : Math.round(nulls)} % null`}
        </span>
      </p>
    </>
  )
}

const WIDTH = 240
const HEIGHT = 34

const Bars = ({
  summary,
  put,
  text,
  column,
}: {
  summary: ColumnSummary
  put: (filters: Filter[]) => void
  text: (cell: Cell) => string
  column: Column
}): JSX.Element => {
  const most = Math.max(1, ...summary.bars.map((bar) => bar.count))
  const step = WIDTH / summary.bars.length
  return (
    // A picture for the eye; the filter form gives the same by keyboard.
    <svg
      class="bars"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Distribution of ${column.name}, from ${text(summary.min)} to ${text(summary.max)}`}
    >
      {summary.bars.map((bar, at) => {
        const height = bar.count === 0 ? 0 : Math.max(1.5, (bar.count / most) * HEIGHT)
        return (
          // biome-ignore lint/a11y/noStaticElementInteractions: see above
          <g
            key={at}
            class="bar-hit"
            onClick={() => {
              const { from, to } = bar
              if (from === null || to === null || typeof from === 'object' || typeof to === 'object') return
              put([
                { col: column.name, op: '>=', value: from },
                { col: column.name, op: '<=', value: to },
              ])
            }}
          >
            <title>{bar.count === 0 ? 'none' : `${text(bar.from)} to ${text(bar.to)}: ${count(bar.count)}`}</title>
            <rect class="bar-area" x={at * step} y="0" width={step} height={HEIGHT} />
            <rect class="bar-fill" x={at * step + 0.5} y={HEIGHT - height} width={step - 1} height={height} />
          </g>
        )
      })}
    </svg>
  )
}
