import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { canonicalValue, isNested } from '../../../edge/contract/slice-values.ts'
import type { Column, Filter, FilterOp, Slice } from '../../client/index.ts'
import { show } from '../format.ts'
import { Icon } from '../icons.tsx'
import type { ViewState } from '../view-state.ts'

const SIGNS: Record<FilterOp, string> = {
  '=': '=',
  '!=': '≠',
  '<': '<',
  '<=': '≤',
  '>': '>',
  '>=': '≥',
  in: 'is one of',
  between: 'between',
  contains: 'contains',
  is_null: 'is null',
  not_null: 'is not null',
}

const valueText = (filter: Filter, column: Column | undefined): string => {
  const one = (value: string | number | boolean | null): string => (value === '' ? '“”' : show(value, column?.type ?? 'string').text)
  if (filter.value === undefined) return ''
  if (!Array.isArray(filter.value)) return one(filter.value)
  return (
    filter.value
      .slice(0, 4)
      .map(one)
      .join(filter.op === 'between' ? ' and ' : ', ') + (filter.value.length > 4 ? ', …' : '')
  )
}

/** Filters and groups as chips, each removable; a filter opens to be changed. */
export const Chips = ({
  slice,
  view,
  change,
}: {
  slice: Slice
  view: ViewState
  change: (next: Partial<ViewState>) => void
}): JSX.Element => {
  const [editing, setEditing] = useState<number | null>(null)
  const without = <T,>(list: T[], at: number): T[] => list.filter((_, i) => i !== at)
  return (
    <ul class="chips filters" aria-label="Filters and groups">
      {view.sql === null ? null : (
        <li class="chip">
          <span>SQL</span>
          <button type="button" class="chip-off" aria-label="Leave the SQL answer" onClick={() => change({ sql: null, order: [] })}>
            <Icon name="close" />
          </button>
        </li>
      )}
      {view.group.map((name, at) => (
        <li class="chip" key={`group ${name}`} data-chip="group">
          <span>
            <span class="quiet">by</span> {name}
          </span>
          <button
            type="button"
            class="chip-off"
            aria-label={`Do not group by ${name}`}
            onClick={() => change({ group: without(view.group, at), order: [] })}
          >
            <Icon name="close" />
          </button>
        </li>
      ))}
      {view.where.map((filter, at) => (
        <li class="chip" key={JSON.stringify(filter)} data-chip="filter">
          <button type="button" class="chip-text" aria-expanded={editing === at} onClick={() => setEditing(editing === at ? null : at)}>
            {filter.col} <span class="quiet">{SIGNS[filter.op]}</span>{' '}
            {valueText(
              filter,
              slice.columns.find((column) => column.name === filter.col),
            )}
          </button>
          <button
            type="button"
            class="chip-off"
            aria-label={`Remove the filter on ${filter.col}`}
            onClick={() => change({ where: without(view.where, at) })}
          >
            <Icon name="close" />
          </button>
          {editing === at ? (
            <FilterEditor
              columns={slice.columns}
              begin={filter}
              close={() => setEditing(null)}
              save={(made) => change({ where: view.where.map((one, i) => (i === at ? made : one)) })}
            />
          ) : null}
        </li>
      ))}
      {view.sql === null ? (
        <li class="chip-add">
          <button
            type="button"
            class="button flat"
            data-hook="add-filter"
            aria-expanded={editing === -1}
            onClick={() => setEditing(editing === -1 ? null : -1)}
          >
            <Icon name="plus" /> Filter
          </button>
          {editing === -1 ? (
            <FilterEditor
              columns={slice.columns}
              begin={null}
              close={() => setEditing(null)}
              save={(made) => change({ where: [...view.where, made] })}
            />
          ) : null}
        </li>
      ) : null}
    </ul>
  )
}

const opsFor = (column: Column | undefined): FilterOp[] => {
  if (column === undefined || isNested(column.type)) return ['is_null', 'not_null']
  if (column.type === 'boolean') return ['=', '!=', 'is_null', 'not_null']
  const comparing: FilterOp[] = ['=', '!=', '<', '<=', '>', '>=', 'between', 'in', 'is_null', 'not_null']
  return column.type === 'string' ? ['=', '!=', 'contains', 'in', '<', '<=', '>', '>=', 'between', 'is_null', 'not_null'] : comparing
}

/** Text → the filter it means for this column, or what is wrong with it. */
const readFilter = (column: Column, op: FilterOp, text: string, second: string): { filter: Filter } | { problem: string } => {
  if (op === 'is_null' || op === 'not_null') return { filter: { col: column.name, op } }
  const texts = op === 'between' ? [text, second] : op === 'in' ? text.split(',').map((one) => one.trim()) : [text]
  const values: (string | number | boolean)[] = []
  for (const one of texts) {
    const read = canonicalValue(column.type, one)
    if (!read.ok) return { problem: read.message }
    values.push(read.value)
  }
  const [first] = values
  if (first === undefined) return { problem: 'A value is needed.' }
  return { filter: { col: column.name, op, value: op === 'between' || op === 'in' ? values : first } }
}

const FilterEditor = (props: {
  columns: Column[]
  begin: Filter | null
  save: (filter: Filter) => void
  close: () => void
}): JSX.Element => {
  const { columns, begin } = props
  const value = begin?.value
  const texts = (Array.isArray(value) ? value : value === undefined ? [] : [value]).map((one) => (one === null ? '' : String(one)))
  const [name, setName] = useState(begin?.col ?? columns[0]?.name ?? '')
  const [op, setOp] = useState<FilterOp>(begin?.op ?? '=')
  const [text, setText] = useState(begin?.op === 'in' ? texts.join(', ') : (texts[0] ?? ''))
  const [second, setSecond] = useState(texts[1] ?? '')
  const [problem, setProblem] = useState<string | null>(null)
  const panel = useRef<HTMLFormElement | null>(null)
  const column = columns.find((one) => one.name === name)
  const ops = opsFor(column)
  const chosen = ops.includes(op) ? op : (ops[0] ?? 'is_null')
  useEffect(() => {
    panel.current?.querySelector<HTMLElement>(begin === null ? 'select' : 'input, select')?.focus()
    const outside = (event: PointerEvent): void => {
      if (event.target instanceof Node && !panel.current?.parentElement?.contains(event.target)) props.close()
    }
    addEventListener('pointerdown', outside)
    return () => removeEventListener('pointerdown', outside)
  }, [])
  return (
    <form
      class="popover"
      aria-label="Filter"
      ref={panel}
      onSubmit={(event) => {
        event.preventDefault()
        if (column === undefined) return
        const read = readFilter(column, chosen, text, second)
        if ('problem' in read) return setProblem(read.problem)
        props.save(read.filter)
        props.close()
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return
        event.stopPropagation()
        props.close()
      }}
    >
      <label class="field">
        <span>Column</span>
        <select value={name} name="column" onChange={(event) => setName(event.currentTarget.value)}>
          {columns.map((one) => (
            <option key={one.name} value={one.name}>
              {one.name}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>Comparison</span>
        <select
          value={chosen}
          name="op"
          onChange={(event) => {
            const picked = ops.find((one) => one === event.currentTarget.value)
            if (picked !== undefined) setOp(picked)
          }}
        >
          {ops.map((one) => (
            <option key={one} value={one}>
              {SIGNS[one]}
            </option>
          ))}
        </select>
      </label>
      {chosen === 'is_null' || chosen === 'not_null' ? null : (
        <label class="field">
          <span>{chosen === 'in' ? 'Values, with commas' : chosen === 'between' ? 'From' : 'Value'}</span>
          <input name="value" autocomplete="off" spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
      )}
      {chosen === 'between' ? (
        <label class="field">
          <span>To, included</span>
          <input
            name="second"
            autocomplete="off"
            spellcheck={false}
            value={second}
            onInput={(event) => setSecond(event.currentTarget.value)}
          />
        </label>
      ) : null}
      {problem === null ? null : (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class="popover-foot">
        <button type="submit" class="button primary">
          Filter
        </button>
        <button type="button" class="button" onClick={props.close}>
          Cancel
        </button>
      </div>
    </form>
  )
}
