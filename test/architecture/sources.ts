import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')
const PLACES = '{edge,compute,web,tasks,test}'

/** Paths of all files of ours with these endings, from the root. */
export const sources = (...endings: string[]): string[] =>
  globSync(
    endings.map((ending) => `${PLACES}/**/*.${ending}`),
    {
      cwd: ROOT,
      exclude: (name) => /(^|\/)(node_modules|dist|golden)(\/|$)/.test(String(name)),
    },
  ).sort()

export const isTest = (path: string): boolean => path.endsWith('.test.ts') || path.startsWith('test/')

export const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

export interface Import {
  from: string
  /** A path from the root for a file of ours, else a module's name. */
  to: string
  /** Gone after compilation. */
  typeOnly: boolean
}

const IMPORT = /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm

/** What a file imports, statically and dynamically. */
export const importsOf = (path: string): Import[] =>
  [...textOf(path).matchAll(IMPORT)].map(([, type, fixed, dynamic]) => {
    const name = fixed ?? dynamic ?? ''
    const to = name.startsWith('.') ? normalize(relative(ROOT, join(ROOT, dirname(path), name))) : name
    return { from: path, to, typeOnly: type !== undefined }
  })
