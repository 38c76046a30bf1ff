import type { JSX } from 'preact'
import { type Field, problemOf } from '../arguments.ts'

const Input = ({
  field,
  id,
  text,
  change,
  described,
  wrong,
}: {
  field: Field
  id: string
  text: string
  change: (text: string) => void
  described: string
  wrong: boolean
}): JSX.Element => {
  if (field.type === 'boolean')
    return (
      <select id={id} name={field.name} value={text} onChange={(event) => change(event.currentTarget.value)}>
        <option value="true">true</option>
        <option value="false">false</option>
      </select>
    )
  const common = {
    id,
    name: field.name,
    autocomplete: 'off',
    value: text,
    'aria-describedby': described,
    'aria-invalid': wrong,
    onInput: (event: { currentTarget: HTMLInputElement }) => change(event.currentTarget.value),
  }
  if (field.type === 'date') return <input type="date" {...common} />
  if (field.type === 'timestamp') return <input type="datetime-local" step={1} {...common} />
  const numeric = field.type === 'int' || field.type === 'bigint' || field.type === 'double' || field.type === 'decimal'
  return <input type="text" spellcheck={false} inputMode={numeric ? 'decimal' : 'text'} class={numeric ? 'right' : ''} {...common} />
}

const fieldId = (at: number): string => `field-${at}`

/** Leads to the first field with a problem, which may be out of sight; false: there is none. */
export const showFirstProblem = (problems: (string | null)[]): boolean => {
  const first = problems.findIndex((problem) => problem !== null)
  if (first >= 0) document.getElementById(fieldId(first))?.focus()
  return first >= 0
}

/** A report's arguments as fields; what is wrong with one stands below it once somebody has tried to send them. */
export const ArgumentFields = ({
  fields,
  texts,
  tried,
  change,
}: {
  fields: Field[]
  texts: string[]
  tried: boolean
  change: (texts: string[]) => void
}): JSX.Element => (
  <>
    {fields.map((field, at) => {
      const text = texts[at] ?? ''
      const problem = tried ? problemOf(field, text) : null
      return (
        <div class="field" key={field.name}>
          <label for={fieldId(at)}>
            {field.name} <span class="quiet mono">{field.type}</span>
          </label>
          <Input
            field={field}
            id={fieldId(at)}
            text={text}
            described={`about-${at}`}
            wrong={problem !== null}
            change={(now) => change(texts.map((one, i) => (i === at ? now : one)))}
          />
          <span id={`about-${at}`} class={problem === null ? 'quiet' : 'problem'}>
            {problem ??
              (field.fallback === null || field.fallback === text ? '' : `Default ${field.fallback === '' ? 'empty' : field.fallback}`)}
          </span>
        </div>
      )
    })}
  </>
)
