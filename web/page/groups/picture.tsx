import type { JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Group } from '../../client/wire.ts'
import { duration } from '../format.ts'
import { Icon, markOf, StateMark } from '../icons.tsx'
import { address } from '../route.ts'
import { type Box, type LayoutSizes, layout } from './layout.ts'
import { conditionWords, isEnded, isMain, type NamedStep, type StepTimes, stepsOfGroup, stepWord } from './words.ts'

const WIDE: LayoutSizes = { width: 168, height: 54, layerGap: 44, rowGap: 18, direction: 'right' }
const NARROW: LayoutSizes = { width: 156, height: 54, layerGap: 40, rowGap: 14, direction: 'down' }
/** Room for outlines and arrow heads. */
const MARGIN = 6

const NARROW_QUERY = '(max-width: 640px)'

const useNarrow = (): boolean => {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW_QUERY).matches)
  useEffect(() => {
    const query = matchMedia(NARROW_QUERY)
    const follow = (): void => setNarrow(query.matches)
    query.addEventListener('change', follow)
    return () => query.removeEventListener('change', follow)
  }, [])
  return narrow
}

const KIND_ICONS = { approval: 'person', compensation: 'undo', alert: 'bell' } as const

const timeText = (times: StepTimes | undefined, state: string, now: number): string => {
  if (times?.started == null) return ''
  if (times.ended !== null) return duration(times.ended - times.started)
  return state === 'running' ? duration(now - times.started) : ''
}

export const stepTime = timeText

const Step = ({ step, time }: { step: NamedStep; time: string }): JSX.Element => (
  <>
    <span class="dag-line">
      <StateMark state={markOf(step.state)} />
      <span class="dag-name">{step.name}</span>
      {step.kind === 'job' ? null : <Icon name={KIND_ICONS[step.kind]} />}
    </span>
    <span class="dag-line dag-state">
      <span class="dag-word">
        {step.kind === 'compensation' && !isEnded(step.state) ? `Undoes ${step.compensates ?? ''}` : stepWord(step)}
      </span>
      <span class="dag-time">{time}</span>
    </span>
  </>
)

/** The nearest box in an arrow's direction: what lies straight ahead counts more than what lies aside. */
const neighbour = (boxes: Box[], from: Box, key: string): Box | null => {
  const dx = key === 'ArrowRight' ? 1 : key === 'ArrowLeft' ? -1 : 0
  const dy = key === 'ArrowDown' ? 1 : key === 'ArrowUp' ? -1 : 0
  let best: Box | null = null
  let least = Number.POSITIVE_INFINITY
  for (const box of boxes) {
    const [x, y] = [box.x - from.x, box.y - from.y]
    const ahead = x * dx + y * dy
    if (ahead <= 0) continue
    const score = ahead + 2 * Math.abs(x * dy + y * dx)
    if (score < least) {
      best = box
      least = score
    }
  }
  return best
}

const ARROWS = { right: 'm-6 -4 6 4-6 4z', down: 'm-4 -6 4 6 4 -6z' } as const

/**
 * A group as a picture: steps as boxes that lead to their jobs, needs as lines. A step without a job leads to its line in the
 * list below (`toLine`). States differ by colour, mark and word.
 */
export const Picture = ({
  group,
  times,
  now,
  toLine,
}: {
  group: Group
  times: ReadonlyMap<string, StepTimes>
  now: number
  toLine: (step: string) => void
}): JSX.Element => {
  const narrow = useNarrow()
  const sizes = narrow ? NARROW : WIDE
  const list = useRef<HTMLOListElement | null>(null)
  const steps = stepsOfGroup(group)
  const byName = new Map(steps.map((step) => [step.name, step]))
  // States change often, the form of a group never.
  const form = JSON.stringify(steps.map(({ name, needs, kind, compensates }) => ({ name, needs, kind, compensates })))
  const drawn = useMemo(() => layout(steps, sizes), [form, sizes])
  const boxes = useMemo(
    () => drawn.boxes.toSorted((a, b) => (narrow ? a.y - b.y || a.x - b.x : a.layer - b.layer || a.y - b.y)),
    [drawn, narrow],
  )

  const move = (event: KeyboardEvent): void => {
    const name = event.target instanceof HTMLElement ? event.target.dataset.step : undefined
    const from = boxes.find((box) => box.name === name)
    if (from === undefined || !event.key.startsWith('Arrow')) return
    event.preventDefault()
    const to = neighbour(boxes, from, event.key)
    if (to !== null) list.current?.querySelector<HTMLElement>(`[data-step="${CSS.escape(to.name)}"]`)?.focus()
  }

  return (
    <div class="dag-frame">
      <div class="dag" style={{ width: `${drawn.width + 2 * MARGIN}px`, height: `${drawn.height + 2 * MARGIN}px` }}>
        <svg class="dag-edges" width={drawn.width + 2 * MARGIN} height={drawn.height + 2 * MARGIN} aria-hidden="true" focusable="false">
          <g transform={`translate(${MARGIN} ${MARGIN})`}>
            {drawn.edges.map(({ from, to, path, x, y }) => {
              const [parent, child] = [byName.get(from), byName.get(to)]
              const passed = parent !== undefined && child !== undefined && isEnded(parent.state) && child.state !== 'skipped'
              return (
                <g key={`${from} ${to}`} class={`edge edge-${child?.when ?? 'succeeded'}${passed ? ' edge-passed' : ''}`}>
                  <path d={path} />
                  <path class="edge-head" d={`M${x} ${y}${ARROWS[sizes.direction]}`} />
                </g>
              )
            })}
            {drawn.bandAt === null ? null : <path class="band-line" d={`M0 ${drawn.bandAt + 8}H${drawn.width}`} />}
          </g>
        </svg>
        {drawn.bandAt === null ? null : (
          <p class="band-title quiet" style={{ top: `${drawn.bandAt + MARGIN + 16}px` }}>
            If it fails
          </p>
        )}
        <ol ref={list} aria-label="Steps of the group, as a picture" onKeyDown={move}>
          {boxes.map((box) => {
            const step = byName.get(box.name)
            if (step === undefined) return null
            const place = {
              left: `${box.x + MARGIN}px`,
              top: `${box.y + MARGIN}px`,
              width: `${sizes.width}px`,
              height: `${sizes.height}px`,
            }
            const shared = {
              class: `dag-step dag-${step.kind} dag-is-${markOf(step.state)}`,
              'data-step': step.name,
              'data-step-state': step.state,
              title: `${step.name}: runs ${conditionWords(step)}`,
            }
            const inside = <Step step={step} time={timeText(times.get(step.name), step.state, now)} />
            return (
              <li key={box.name} style={place}>
                {step.job === null ? (
                  <button type="button" {...shared} onClick={() => toLine(step.name)}>
                    {inside}
                  </button>
                ) : (
                  <a href={address('jobs', step.job)} {...shared}>
                    {inside}
                  </a>
                )}
              </li>
            )
          })}
        </ol>
      </div>
    </div>
  )
}

/** A line of marks for a list: one for each step, in the order in which they run. */
export const StepMarks = ({ group }: { group: Group }): JSX.Element => {
  const steps = stepsOfGroup(group).filter(isMain)
  return (
    <span class="step-marks" aria-hidden="true">
      {steps.slice(0, 20).map((step) => (
        <StateMark key={step.name} state={markOf(step.state)} />
      ))}
      {steps.length > 20 ? <span class="quiet">…</span> : null}
    </span>
  )
}
