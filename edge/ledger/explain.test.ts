import { expect, it } from 'vitest'
import { DeathClass } from '../contract/dead.ts'
import { FailureClass } from '../contract/node.ts'
import { explain } from './explain.ts'

it('every class of failure has an explanation and a remedy of its own', () => {
  const told = DeathClass.options.map((of) => explain(of === 'expired' ? 'expired' : of === 'changed' ? 'task_changed' : 'x', of))
  expect(told.map((one) => one.class)).toEqual([...FailureClass.options, 'expired', 'changed'])
  expect(new Set(told.map(({ explanation }) => explanation)).size).toBe(told.length)
  for (const { remedy } of told) expect(remedy.length).toBeGreaterThan(20)
})

it('the class decides, then the code; what the edge decided is above both', () => {
  expect(explain('max_runtime', 'overloaded').class).toBe('overloaded')
  expect(explain('max_runtime', null).class).toBe('limit')
  expect(explain('expired', 'lost').class).toBe('expired')
  expect(explain('some_code_of_an_engine', null).class).toBe('internal')
  expect(explain(null, 'not a class').class).toBe('internal')
})
