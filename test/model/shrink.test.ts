import { describe, expect, test } from 'vitest'
import { shrink } from './shrink.ts'

const numbers = Array.from({ length: 100 }, (_, i) => i)

describe('what fails is made small', () => {
  test('down to the elements that it takes, in their order', () => {
    const fails = (list: readonly number[]): boolean => list.indexOf(71) > list.indexOf(13) && list.includes(13) && list.includes(40)
    expect(shrink(numbers, fails)).toEqual([13, 40, 71])
  })

  test('to a single element, and to none where even that is not needed', () => {
    expect(shrink(numbers, (list) => list.includes(99))).toEqual([99])
    expect(shrink(numbers, () => true)).toEqual([])
  })

  test('where many elements count together, no more of them are kept than it takes', () => {
    expect(shrink(numbers, (list) => list.filter((n) => n % 2 === 1).length >= 7)).toHaveLength(7)
  })

  test('and its elements are made simpler, for as long as it fails', () => {
    const fails = (list: readonly number[]): boolean => list.some((n) => n >= 20)
    expect(shrink([3, 90, 5], fails, (n) => (n > 0 ? [Math.floor(n / 2), n - 1] : []))).toEqual([20])
  })

  test('and whatever comes out has failed, also when there is no more time', () => {
    for (let most = 0; most < 60; most++) {
      const fails = (list: readonly number[]): boolean => list.includes(13) && list.includes(71)
      expect(fails(shrink(numbers, fails, () => [], most))).toBe(true)
    }
  })
})
