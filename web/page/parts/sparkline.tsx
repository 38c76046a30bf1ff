import type { JSX } from 'preact'
import { duration } from '../format.ts'

const WIDTH = 84
const HEIGHT = 18
const BARS = 14

/** How long the last runs took, oldest left. */
export const Sparkline = ({ milliseconds }: { milliseconds: number[] }): JSX.Element | null => {
  const shown = milliseconds.slice(0, BARS).reverse()
  if (shown.length < 2) return null
  const most = Math.max(...shown, 1)
  const step = WIDTH / BARS
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Durations of the last ${shown.length} runs, from ${duration(shown[0] ?? 0)} to ${duration(shown.at(-1) ?? 0)}`}
    >
      {shown.map((value, at) => {
        const height = Math.max(2, (value / most) * HEIGHT)
        return <rect key={at} x={WIDTH - (shown.length - at) * step + 1} y={HEIGHT - height} width={step - 2} height={height} rx="1" />
      })}
    </svg>
  )
}
