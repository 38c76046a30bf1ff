import { expect, test } from 'vitest'
import { type Import, importsOf, isTest, sources } from './sources.ts'

const code = sources('ts', 'tsx', 'mts')
const product = code.filter((path) => !isTest(path))
const all: Import[] = product.flatMap(importsOf)
const ours = (path: string): boolean => /^(edge|compute|web|test|tasks)\//.test(path)
const wrong = (from: (path: string) => boolean, allowed: (to: string) => boolean): string[] =>
  all.filter((one) => from(one.from) && ours(one.to) && !allowed(one.to)).map(({ from: file, to }) => `${file} imports ${to}`)

/** Code that only tests use stands beside what it tests. */
const forTests = (path: string): boolean => /\/(fixture|test-[\w-]+|fake-[\w-]+|random)\.ts$/.test(path)

test('there is something to look at', () => {
  expect(product.length).toBeGreaterThan(200)
  expect(all.filter(({ to }) => to.startsWith('edge/contract/')).length).toBeGreaterThan(100)
})

test('the contract imports nothing of ours, and only its schema library of others', () => {
  expect(
    wrong(
      (path) => path.startsWith('edge/contract/'),
      (to) => to.startsWith('edge/contract/'),
    ),
  ).toEqual([])
  const foreign = all.filter(({ from, to }) => from.startsWith('edge/contract/') && !ours(to)).map(({ to }) => to)
  expect(new Set(foreign)).toEqual(new Set(['zod']))
})

test('the web imports of the others only the contract', () => {
  expect(
    wrong(
      (path) => path.startsWith('web/'),
      (to) => to.startsWith('web/') || to.startsWith('edge/contract/'),
    ),
  ).toEqual([])
})

test('compute imports of the others only the contract', () => {
  expect(
    wrong(
      (path) => path.startsWith('compute/') && !forTests(path),
      (to) => to.startsWith('compute/') || to.startsWith('edge/contract/'),
    ),
  ).toEqual([])
})

test('the edge imports neither of the others, and nothing of the launcher', () => {
  expect(
    wrong(
      (path) => path.startsWith('edge/') && !path.startsWith('edge/embedded/'),
      (to) => to.startsWith('edge/') && !to.startsWith('edge/embedded/'),
    ),
  ).toEqual([])
})

test('the launcher imports only itself and the contract', () => {
  expect(
    wrong(
      (path) => path.startsWith('edge/embedded/'),
      (to) => to.startsWith('edge/embedded/') || to.startsWith('edge/contract/'),
    ),
  ).toEqual([])
})

test('only Durable Objects and the Worker know the platform', () => {
  const users = all.filter(({ to }) => to.startsWith('cloudflare:')).map(({ from }) => from)
  expect(users.length).toBeGreaterThan(0)
  for (const file of users) expect(file).toMatch(/^edge\/[a-z]+\/object\.ts$/)
})

test('code of the product imports no test and nothing that only tests use', () => {
  expect(
    all
      .filter(({ from, to }) => !forTests(from) && (to.endsWith('.test.ts') || to.startsWith('test/') || (ours(to) && forTests(to))))
      .map(({ from, to }) => `${from} imports ${to}`),
  ).toEqual([])
})

/** Circles of files that need each other at run time. */
const circles = (): string[] => {
  const graph = new Map<string, string[]>()
  for (const { from, to, typeOnly } of all) if (!typeOnly && ours(to)) graph.set(from, [...(graph.get(from) ?? []), to])
  const done = new Set<string>()
  const found = new Set<string>()
  const visit = (file: string, way: string[]): void => {
    if (way.includes(file)) found.add([...way.slice(way.indexOf(file)), file].join(' → '))
    else if (!done.has(file)) {
      for (const next of graph.get(file) ?? []) visit(next, [...way, file])
      done.add(file)
    }
  }
  for (const file of graph.keys()) visit(file, [])
  return [...found]
}

test('no files need each other in a circle', () => {
  expect(circles()).toEqual([])
})
