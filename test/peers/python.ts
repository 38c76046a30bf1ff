import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const MIN_PYTHON = [3, 10] as const
const INSTALL_LIMIT_MS = 10 * 60_000

export interface Ran {
  code: number
  output: string
  said: string
}

/** Runs a program to its end; one that takes longer than the limit is killed, and its code is not 0. */
export const run = (command: string, args: string[], input: string, limitMs: number): Promise<Ran> =>
  new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    let output = ''
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
    child.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    const end = (code: number, words: string): void => {
      clearTimeout(timer)
      resolve({ code, output, said: said + words })
    }
    child.on('error', (fault) => end(1, fault.message))
    child.on('close', (code, signal) => end(code ?? 1, signal === null ? '' : `ended by ${signal} after ${limitMs / 1_000} s`))
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })

const findPython = async (): Promise<string> => {
  for (const name of ['python3', 'python']) {
    const { code, output } = await run(name, ['-c', 'import sys, venv; print(sys.version_info.major, sys.version_info.minor)'], '', 20_000)
    const [major = 0, minor = 0] = output.trim().split(' ').map(Number)
    if (code === 0 && (major > MIN_PYTHON[0] || (major === MIN_PYTHON[0] && minor >= MIN_PYTHON[1]))) return name
  }
  throw new Error(`Python ${MIN_PYTHON.join('.')} or newer with its venv module is needed (Debian: apt install python3-venv)`)
}

const venvOf = async (cache: string): Promise<string> => {
  const venv = join(cache, 'venv')
  const python = join(venv, 'bin/python')
  if (existsSync(python)) return python
  mkdirSync(cache, { recursive: true })
  const made = await run(await findPython(), ['-m', 'venv', venv], '', 120_000)
  if (made.code !== 0) throw new Error(`no virtual environment could be made: ${made.said || made.output}`)
  return python
}

/**
 * Installs pinned packages with pip, once: into the virtual environment of the cache folder, or with `target` into that
 * folder. Returns the environment's Python. Throws with what pip said where it cannot.
 */
export const pipInstall = async (
  cache: string,
  packages: string[],
  options: { target?: string; args?: string[]; say: (line: string) => void },
): Promise<string> => {
  const note = options.target === undefined ? join(cache, 'installed') : join(options.target, 'installed')
  const versions = packages.join(' ')
  const known = existsSync(note) && readFileSync(note, 'utf8') === versions
  if (known && (options.target !== undefined || existsSync(join(cache, 'venv/bin/python')))) return join(cache, 'venv/bin/python')
  options.say(`installing ${versions} into ${cache} (once) …`)
  rmSync(options.target ?? join(cache, 'venv'), { recursive: true, force: true })
  const python = await venvOf(cache)
  const where = options.target === undefined ? [] : ['--no-deps', '--target', options.target]
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...where, ...(options.args ?? []), ...packages]
  const installed = await run(python, args, '', INSTALL_LIMIT_MS)
  if (installed.code !== 0) throw new Error(`pip could not install ${versions}: ${installed.said || installed.output}`)
  mkdirSync(dirname(note), { recursive: true })
  writeFileSync(note, versions)
  return python
}
