import { signal } from '@preact/signals'
import type { JSX } from 'preact'

const said = signal('')
const shown = signal<string | null>(null)
let timer: ReturnType<typeof setTimeout> | undefined

/** Tells a change of state to screen readers only. */
export const announce = (text: string): void => {
  said.value = text
}

/** …and to everybody, for a moment. */
export const tell = (text: string): void => {
  said.value = text
  shown.value = text
  clearTimeout(timer)
  timer = setTimeout(() => {
    shown.value = null
  }, 4_000)
}

export const Announcer = (): JSX.Element => (
  <>
    <div class="unseen" aria-live="polite" role="status">
      {said.value}
    </div>
    {shown.value === null ? null : (
      <div class="toast" aria-hidden="true">
        {shown.value}
      </div>
    )}
  </>
)
