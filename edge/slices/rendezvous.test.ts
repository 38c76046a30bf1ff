import { expect, test } from 'vitest'
import { inOrderFor } from './rendezvous.ts'

const names = ['node-1', 'node-2', 'node-3', 'node-4']
const keys = Array.from({ length: 400 }, (_, n) => `t/acme/_slices/r${n}/all.csv`)

test('the order for a key is always the same, however the names come', () => {
  for (const key of keys) expect(inOrderFor(key, [...names].reverse())).toEqual(inOrderFor(key, names))
})

test('a name that goes or comes changes nothing among the others', () => {
  for (const key of keys) {
    const all = inOrderFor(key, names)
    for (const gone of names)
      expect(
        inOrderFor(
          key,
          names.filter((name) => name !== gone),
        ),
      ).toEqual(all.filter((name) => name !== gone))
  }
})

test('keys are spread over the names', () => {
  for (const name of names) expect(keys.filter((key) => inOrderFor(key, names)[0] === name).length).toBeGreaterThan(60)
})
